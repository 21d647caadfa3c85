"""Prints the JSON Schema of a check report: `python -m mocknode.judge.report.print_schema`."""

import json
import sys
from typing import Any

from mocknode.judge.report.schema import SCHEMA, Report
from mocknode.text.json_schema import json_schema


def schema() -> dict[str, Any]:
    """The JSON Schema of `mocknode check --json`."""
    return json_schema(Report, id_=SCHEMA, title="mocknode report")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
