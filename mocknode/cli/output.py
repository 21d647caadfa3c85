"""What standard output can show."""

import os
import sys


def looks() -> tuple[bool, bool]:
    """Whether it is a terminal that wants colours (NO_COLOR is honoured), and whether it takes Unicode."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return colour, (sys.stdout.encoding or "ascii").lower().startswith("utf")
