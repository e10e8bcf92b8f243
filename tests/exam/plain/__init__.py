"""What runs inside the plain twin of a program: probes that note what plain mlx says of the program's own
objects.
"""
