"""A model in files: checkpoints, their formats, names and configurations, here or at a URL."""
