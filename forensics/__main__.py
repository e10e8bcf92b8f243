"""`forensics`, and `python -m forensics`."""

import os
import sys


def main() -> None:
    """The command line; Ctrl-C while its modules are imported ends in one line, too."""
    try:
        from forensics.cli import main as command  # import time: while it lasts, Ctrl-C is ours
    except KeyboardInterrupt:
        os.write(2, b"forensics: interrupted.\n")
        sys.exit(130)
    command(prog_name="forensics")


if __name__ == "__main__":
    main()
