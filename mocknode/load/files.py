"""Writes the report of a load run as JSON or HTML, and every attempt as CSV."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mocknode.judge.report.files import replace
from mocknode.load.page import render
from mocknode.load.schema import LoadReport


def write(document: LoadReport, path: Path, form: str) -> None:
    """Write the report as `json` or `html`, completely or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = render(document) if form == "html" else json.dumps(document, indent=1, allow_nan=False) + "\n"
    replace(path, text)


def write_attempts(rows: Iterable[tuple[Any, ...]], path: Path) -> None:
    """Write one line for each attempt below a line with the names of the columns. A hundred thousand take 20 MB.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    replace(path, text.getvalue())
