"""`push`: builds that upload packages."""

from collections.abc import Mapping
from typing import Any

from mocknode.script.declared import Field, StreamShape
from mocknode.script.values import COUNT, SIZE, SIZES, choice


def workload(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the builds."""
    kind = {"build": "users", "action": "actions", "delta": "deltas"}[args["as"]]
    return {
        kind: args["users"],
        "sizes": args["sizes"],
        "forms": ",".join(args["forms"]),
        "link": float(args["link"]),
        "rate": float(args["rate"]),
    }


STREAM = StreamShape(
    word="push",
    about="Builds that upload packages, each one after another.",
    fields=(
        Field(name="users", about="How many build at the same time.", kind=COUNT, default=4),
        Field(name="as", about="How they push: one package, the GitHub Action's three at once, or what changed.",
              kind=choice("form", "build", "action", "delta"), default="build"),
        Field(name="sizes", about="Package sizes, such as 64KiB..16MiB.", kind=SIZES, default="64KiB..1MiB"),
        Field(name="forms", about="Framing of uploads.", kind=choice("framing", "chunked", "length"), many=True,
              default=("chunked", "length")),
        Field(name="link", about="Bytes a second that each can send; 0 means no limit.", kind=SIZE, default=8 << 20),
        Field(name="rate", about="Uploads started a second by all of them; 0: one after another.", kind=COUNT, default=0),
    ),
    short="users",
    workload=workload,
    uploads=True,
)  # fmt: skip
