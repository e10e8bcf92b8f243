"""Programs that try to do harm, or to have some done to them.

Each module counts what it tried and what came of it.
"""
