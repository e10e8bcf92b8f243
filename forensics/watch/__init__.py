"""The program inside the user's process.

What the user's program may not have, or need not pay for, is imported inside the functions that need it: mlx
and the libraries around it, and what few programs use of the standard library.
"""
