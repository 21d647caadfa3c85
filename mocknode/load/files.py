"""A load run's report in files: JSON, one HTML page, and every attempt as CSV."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mocknode.judge.report.files import replace
from mocknode.load.page import render


def write(document: Mapping[str, Any], path: Path, form: str) -> None:
    """The report as `json` or `html`, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = render(document) if form == "html" else json.dumps(document, indent=1, allow_nan=False) + "\n"
    replace(path, text)


def write_attempts(rows: Iterable[tuple[Any, ...]], path: Path) -> None:
    """A line an attempt, the first one naming the columns; a hundred thousand take 20 MB.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    replace(path, text.getvalue())
