"""Scripts that run in a fresh process of the program's interpreter."""
