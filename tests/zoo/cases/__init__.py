"""One module a family of faults; each holds a list CASES."""
