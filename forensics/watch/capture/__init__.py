"""One capture of one live model: when, what, and at what price."""
