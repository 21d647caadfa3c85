"""Prints the JSON Schema of a load report: `python -m mocknode.load.print_schema`."""

import json
import sys
from typing import Any

from mocknode.load.schema import SCHEMA, LoadReport
from mocknode.text.json_schema import json_schema


def schema() -> dict[str, Any]:
    """The JSON Schema of `mocknode load --json`."""
    return json_schema(LoadReport, id_=SCHEMA, title="mocknode load report")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
