"""Calls from a server to a Tentacle as requests on the wire: contract names, parameters, and the health check script.

Source: `Octopus.Tentacle.Contracts` (ScriptServiceV2, Capabilities) and `ScriptServiceV2Executor.cs` of OctopusTentacle for the
order of the calls. Octopus' own health check script is not published; ours prints the version, which a Tentacle passes to its
scripts in `TentacleVersion`.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import bson

from mocknode.mock.halibut import RequestMessage

CAPABILITIES: Final = "ICapabilitiesServiceV2"
SCRIPTS: Final = "IScriptServiceV2"
_CONTRACTS: Final = "Octopus.Tentacle.Contracts"
_SCRIPT_CONTRACTS: Final = f"{_CONTRACTS}.ScriptServiceV2"

HEALTH_SCRIPT: Final = 'echo "$TentacleVersion"'
COMPLETE: Final = 2
"""`State` of a script that has ended."""
ISOLATION_LIMIT: Final = "00:05:00"
WAIT_FOR_SCRIPT: Final = "00:00:05"

Document = Mapping[str, Any]


def capabilities_result(names: Sequence[str]) -> dict[str, Any]:
    """Return a Tentacle's answer to `GetCapabilities`."""
    type_ = f"{_CONTRACTS}.Capabilities.CapabilitiesResponseV2, {_CONTRACTS}"
    return {"$type": type_, "SupportedCapabilities": list(names)}


def status_result(
    ticket: str, *, logs: Sequence[Document], next_log: int, state: int, exit_code: int
) -> dict[str, Any]:
    """Return a Tentacle's answer to `StartScript`, `GetStatus` and `CancelScript`."""
    return {
        "$type": _script_type("ScriptStatusResponseV2"),
        "Ticket": {"TaskId": ticket},
        "Logs": list(logs),
        "NextLogSequence": bson.Int64(next_log),
        "State": state,
        "ExitCode": exit_code,
    }


def get_capabilities() -> tuple[str, str, tuple[Any, ...]]:
    """Return service, method and parameters of the call that asks for a Tentacle's capabilities."""
    return CAPABILITIES, "GetCapabilities", ()


def start_script(ticket: str, body: str) -> tuple[str, str, tuple[Any, ...]]:
    """Return service, method and parameters of the call that starts a script."""
    command = {
        "$type": _script_type("StartScriptCommandV2"),
        "ScriptTicket": {"TaskId": ticket},
        "ScriptBody": body,
        "TaskId": "ServerTasks-1",
        "DurationToWaitForScriptToFinish": WAIT_FOR_SCRIPT,
        "Isolation": 0,
        "ScriptIsolationMutexTimeout": ISOLATION_LIMIT,
        "IsolationMutexName": None,
        "Scripts": {"Bash": body},
        "Files": [],
        "Arguments": [],
    }
    return SCRIPTS, "StartScript", (command,)


def get_status(ticket: str, last_log: int) -> tuple[str, str, tuple[Any, ...]]:
    """Return service, method and parameters of the call that asks for a script's status."""
    request = {"$type": _script_type("ScriptStatusRequestV2"), "Ticket": {"TaskId": ticket}}
    return SCRIPTS, "GetStatus", ({**request, "LastLogSequence": bson.Int64(last_log)},)


def complete_script(ticket: str) -> tuple[str, str, tuple[Any, ...]]:
    """Return service, method and parameters of the call that lets a Tentacle delete a finished script."""
    return (
        SCRIPTS,
        "CompleteScript",
        ({"$type": _script_type("CompleteScriptCommandV2"), "Ticket": {"TaskId": ticket}},),
    )


def request_to(uri: str, thumbprint: str | None, call: tuple[str, str, tuple[Any, ...]], number: int) -> RequestMessage:
    """Return the message of a call; its endpoint holds the limits of a fresh server's machine policy."""
    service, method, params = call
    activity = uuid.uuid4()
    return RequestMessage(
        id=f"{service}::{method}Async[{number}] / {activity}",
        activity_id=activity,
        service=service,
        method=method,
        params=params,
        endpoint={
            "PollingRequestQueueTimeout": "00:02:00",
            "RetryListeningSleepInterval": "00:00:01",
            "RetryCountLimit": 5,
            "ConnectionErrorRetryTimeout": "00:05:00",
            "TcpClientConnectTimeout": "00:01:00",
            "BaseUri": uri,
            "RemoteThumbprint": thumbprint,
            "Proxy": None,
            "ForceResolveHost": None,
            "IsWebSocketEndpoint": False,
        },
    )


def _script_type(name: str) -> str:
    return f"{_SCRIPT_CONTRACTS}.{name}, {_CONTRACTS}"
