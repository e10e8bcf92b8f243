"""What a training step taught and did, as rows."""
