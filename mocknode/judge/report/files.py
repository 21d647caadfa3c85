"""Writes reports completely or not at all: a report is written after every check, and a job may be killed at any time."""

import json as json_
import os
from pathlib import Path

from mocknode.judge.report.html import render as render_html
from mocknode.judge.report.junit import render as render_junit
from mocknode.judge.report.markdown import render as render_markdown
from mocknode.judge.report.schema import Report


def write(
    document: Report,
    *,
    json: Path | None = None,
    html: Path | None = None,
    junit: Path | None = None,
    markdown: Path | None = None,
) -> None:
    """Write the report in every format that has a path; readers see the old file or the new one, never a part.

    Raises:
        OSError: a file cannot be written; those before it have been written.
    """
    if json:
        replace(json, json_.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if html:
        replace(html, render_html(document))
    if junit:
        replace(junit, render_junit(document))
    if markdown:
        replace(markdown, render_markdown(document))


def replace(path: Path, text: str) -> None:
    """Put `text` at `path` in one step, and make missing directories."""
    content = text.encode("utf-8", "replace")
    if path.exists() and not path.is_file():
        # A pipe, /dev/stdout or /dev/null: renaming would replace the device with a file.
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
