"""Errors that name what was got and what is allowed."""

from collections.abc import Iterable
from typing import Any


class RefusedError(ValueError):
    """A command, state, trigger or fault that this node cannot take.

    Attributes:
        detail: One sentence naming the subject, what was got and what is allowed.
        got: The offending value.
        allowed: Values or forms that would have been taken.
    """

    def __init__(self, detail: str, *, got: Any = None, allowed: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.got = got
        self.allowed = tuple(allowed)

    def document(self) -> dict[str, Any]:
        """Return the error as the control channel carries it."""
        return {"detail": self.detail, "got": self.got, "allowed": list(self.allowed)}
