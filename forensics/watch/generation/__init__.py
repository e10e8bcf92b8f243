"""What the program generated, and with which state of the model."""
