"""What standard output can show."""

import os
import sys


def looks() -> tuple[bool, bool]:
    """Whether standard output shows colours (a terminal, and NO_COLOR is not set), and whether it can show Unicode."""
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return colour, (sys.stdout.encoding or "ascii").lower().startswith("utf")
