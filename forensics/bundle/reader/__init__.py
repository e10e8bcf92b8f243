"""Inside the process that reads a stranger's bundle, under limits."""
