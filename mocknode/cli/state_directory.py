"""Where certificates and keys are kept between runs."""

import os
from pathlib import Path


def state_directory() -> Path:
    """The user's state directory (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mocknode"
