"""Proof: a recorded run is run again, as it was and with a cause taken away.

It shows whether the harm goes away with the cause.
"""
