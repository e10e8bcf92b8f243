"""From what a watched run left in its spool to sealed captures and one run."""
