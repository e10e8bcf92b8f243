"""Proof: a recorded run is run again, as it was and with a cause taken away, to see whether the harm goes
with it.
"""
