"""The whole story on a real model: three trainers, captured and diagnosed."""
