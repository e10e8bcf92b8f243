"""Small real programs, each broken by one fault, each with its healthy twin."""
