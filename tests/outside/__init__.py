"""Programs that nobody wrote with this tool in mind, and what should be said of them."""
