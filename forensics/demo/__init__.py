"""The whole story on a real model: three trainers, captured and diagnosed.

mlx and tokenizers are imported inside the functions that need them: they take a second.
"""
