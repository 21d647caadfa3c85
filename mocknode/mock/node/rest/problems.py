"""Errors as the server words them: a status and the reasons of its error document.

Sources of the texts: OctopusDeploy/mcp-server for 401, OctopusDeploy/Issues 9333 for 403, 2514 and 9873 for validation.
"""

from collections.abc import Iterable
from typing import Final

from mocknode.mock.node.http.answers import Headers

VALIDATION: Final = "There was a problem with your request."
UNAUTHORIZED: Final = "You must be logged in to request this resource. Please provide a valid API key or log in again."
FORBIDDEN: Final = "You do not have permission to perform this action. Please contact your Octopus administrator. Missing permission: {}"


class ProblemError(Exception):
    """An answer that is an error document."""

    def __init__(self, status: int, message: str, errors: Iterable[str] = (), headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, tuple(errors)
        self.headers = headers or []


def invalid(reason: str) -> ProblemError:
    """Return a 400 with the reason where the real server puts it."""
    return ProblemError(400, VALIDATION, (reason,))


def not_found(what: str) -> ProblemError:
    """Return a 404."""
    return ProblemError(404, f"The resource {what!r} was not found.")
