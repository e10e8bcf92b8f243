"""How evidence comes in: a command that is watched, the spool it leaves, models at rest; all of it sealed as captures."""
