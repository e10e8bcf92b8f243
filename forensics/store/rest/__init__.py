"""Models at rest, as captures: what files alone say, and what the model says when it is asked."""
