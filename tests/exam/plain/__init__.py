"""What runs inside the plain twin of a program.

Its probes note what plain mlx says of the program's own objects.
"""
