"""One module a patched surface of mlx or mlx-lm."""
