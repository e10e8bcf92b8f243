"""What a terminal shows: records in, lines out."""
