"""The answers of a simulated Tentacle: capabilities, scripts that it does not run, uploads that it does not store.

Answers have the form of a current Tentacle's (`CapabilitiesServiceV2.cs`, `ScriptServiceV2.cs`, `FileTransferService.cs`). A
script completes immediately with exit code 0; its log shows `TentacleVersion` if the script asks for it, and otherwise the first
line of the script.
"""

import asyncio
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import bson

from mocknode.mock.halibut import RequestMessage, ResponseMessage, ServerError
from mocknode.mock.halibut.events import DataStream
from mocknode.mock.tentacle import calls

VERSION: Final = "9.1.3763"
"""Version that a simulated Tentacle reports."""
CAPABILITIES: Final = ("IScriptService", "IFileTransferService", "IScriptServiceV2")
_STANDARD_OUTPUT: Final = 0
_UNKNOWN_SERVICE: Final = "Error: {} has not been registered through an IAutofacServiceSource"
_UPLOADED: Final = "Octopus.Shared.Contracts.UploadResult, Octopus.Shared"


class _CallError(Exception):
    """A call that a Tentacle refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one or of many simulated Tentacles.

    Attributes:
        version: Value of `TentacleVersion`.
        takes_s: How long each call runs, with nothing on the wire.
    """

    version: str = VERSION
    takes_s: float = 0.0

    async def answer(self, request: RequestMessage, streams: Sequence[DataStream]) -> ResponseMessage:
        """Return the response to a request."""
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        try:
            return ResponseMessage(id=request.id, result=self._result(request, streams))
        except _CallError as exc:
            return ResponseMessage(id=request.id, error=ServerError(message=str(exc), details=str(exc)))

    def _result(self, request: RequestMessage, streams: Sequence[DataStream]) -> Any:
        match request.service, request.method, request.params:
            case calls.CAPABILITIES, "GetCapabilities", ():
                return calls.capabilities_result(CAPABILITIES)
            case calls.SCRIPTS, "StartScript", ({"ScriptTicket": {"TaskId": ticket}, **command},):
                return self._complete(ticket, self._output(command))
            case calls.SCRIPTS, "GetStatus" | "CancelScript", ({"Ticket": {"TaskId": ticket}},):
                return self._complete(ticket, ())
            case calls.SCRIPTS, "CompleteScript", (_,):
                return None
            case "IFileTransferService", "UploadFile", (path, _):
                (stream,) = streams
                return {
                    "$type": _UPLOADED, "FullPath": path, "Hash": stream.sha1, "Length": bson.Int64(stream.length),
                }  # fmt: skip
            case (calls.CAPABILITIES | calls.SCRIPTS | "IFileTransferService") as service, method, params:
                raise _CallError(f"Service {service}::{method} not found with {len(params)} parameters like these")
            case service, _, _:
                raise _CallError(_UNKNOWN_SERVICE.format(service))

    def _output(self, command: Mapping[Any, Any]) -> Sequence[str]:
        body = str((command.get("Scripts") or {}).get("Bash") or command.get("ScriptBody") or "")
        return (self.version,) if "TentacleVersion" in body else tuple(body.splitlines()[:1])

    def _complete(self, ticket: str, lines: Sequence[str]) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC)
        logs = [{"Source": _STANDARD_OUTPUT, "Occurred": now, "Text": line} for line in lines]
        return calls.status_result(ticket, logs=logs, next_log=len(logs), state=calls.COMPLETE, exit_code=0)
