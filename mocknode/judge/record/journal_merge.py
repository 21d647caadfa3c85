"""Merges the journal lines of the nodes into a `History`. Does no I/O.

A node writes a request in phases (head, body, end), so that a SIGKILL loses nothing it has seen. Here the phases become one
`Request`, which is completed as they arrive. Field names are those of `mocknode.mock.node.journal`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from mocknode.judge.record.history import (
    Attempt,
    Connection,
    Dropped,
    FaultEvent,
    History,
    Probe,
    Request,
    StateChange,
    TentacleConnection,
)

Record = Mapping[str, Any]
REQUEST_PHASES: Final = ("head", "body", "end", "whole")


class JournalMerger:
    """Adds the journals of one cluster to a history.

    Args:
        history: Events are appended to it.
        clock_offset_ns: Added to every time, to convert from the nodes' monotonic clock to the judge's.
    """

    def __init__(self, history: History, clock_offset_ns: int = 0) -> None:
        self._history = history
        self._offset = clock_offset_ns
        self._requests: dict[tuple[str, int, int], int] = {}
        self._connections: dict[tuple[str, int, int], int] = {}
        self._tentacles: dict[tuple[str, int, int], int] = {}
        self._drops: dict[tuple[str, int], int] = {}
        self._by_kind: dict[str, Callable[[Record], None]] = {
            "probe": self._probe,
            "request": self._request,
            "connection": self._connection,
            "state": self._state,
            "fault": self._fault,
            "dropped": self._dropped,
            "boot": lambda record: None,
            # A call is judged by what its Tentacle saw; the node's own record of it is for people to read.
            "rpc": lambda record: None,
        }

    def feed(self, record: Record) -> None:
        """Add one journal line.

        Raises:
            ValueError: this version does not know the line's kind or fields.
        """
        try:
            self._by_kind[record["kind"]](record)
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(f"not a journal record of this version: {record!r:.200}") from exc

    def _t(self, value: int | None) -> int | None:
        return None if value is None else value + self._offset

    def _at(self, record: Record) -> int:
        return int(record["t_ns"]) + self._offset

    def _probe(self, record: Record) -> None:
        self._history.probes.append(
            Probe(
                node=record["node"],
                boot=record["boot"],
                req=record["req"],
                conn=record["conn"],
                peer=record["peer"],
                method=record["method"],
                target=record["target"],
                http_version=record["http_version"],
                host=record.get("host"),
                user_agent=record.get("user_agent"),
                forwarded=bool(record.get("forwarded")),
                t_ns=self._at(record),
                answered_ns=self._t(record.get("answered_ns")),
                status=record.get("status"),
                ended_ns=self._t(record.get("ended_ns")),
                end=record.get("end"),
                refused=record.get("refused"),
            )
        )

    def _request(self, record: Record) -> None:
        key = (record["node"], record["boot"], record["req"])
        index = self._requests.get(key)
        if index is None and record["phase"] in ("body", "end") and key[:2] in self._drops:
            return  # The node said that it dropped entries, and this request's head is among them; its shorter lines may have fitted.
        if index is None:
            self._requests[key] = len(self._history.requests)
            self._history.requests.append(self._with_phase(self._head(record), record))
        else:
            self._history.requests[index] = self._with_phase(self._history.requests[index], record)

    def _head(self, record: Record) -> Request:
        return Request(
            node=record["node"],
            boot=record["boot"],
            req=record["req"],
            conn=record["conn"],
            peer=record["peer"],
            attempt=record.get("attempt"),
            method=record["method"],
            target=record["target"],
            http_version=record["http_version"],
            headers=tuple((key, value) for key, value in record.get("headers", ())),
            t_ns=self._at(record),
            tls=bool(record.get("tls")),
        )

    def _with_phase(self, request: Request, record: Record) -> Request:
        phase = record["phase"]
        if phase not in REQUEST_PHASES:
            raise ValueError(f"a request has no phase {phase!r}; allowed are {', '.join(REQUEST_PHASES)}")
        if phase == "head":
            return request
        request = replace(
            request,
            received=record.get("received", request.received),
            file_bytes=record.get("file_bytes", request.file_bytes),
            sha1=record.get("sha1", request.sha1),
            first_body_ns=self._t(record.get("first_body_ns")) or request.first_body_ns,
            last_body_ns=self._t(record.get("last_body_ns")) or request.last_body_ns,
        )
        if phase == "body":
            return replace(request, complete=True)
        return replace(
            request,
            complete=request.complete or bool(record.get("complete")),
            status=record.get("status"),
            ended_ns=self._t(record.get("ended_ns")) or self._at(record),
            end=record.get("end"),
            faults=tuple(record.get("faults", ())),
            refused=record.get("refused"),
        )

    def _connection(self, record: Record) -> None:
        key = (record["node"], record["boot"], record["conn"])
        if record.get("port") == "tentacle":
            self._tentacle(key, record)
        elif record["phase"] == "open":
            self._connections[key] = len(self._history.connections)
            self._history.connections.append(
                Connection(
                    node=record["node"],
                    boot=record["boot"],
                    conn=record["conn"],
                    peer=record["peer"],
                    tls=record.get("tls") is not None,
                    opened_ns=self._at(record),
                )
            )
        elif record["phase"] != "close":
            raise ValueError(f"a connection has no phase {record['phase']!r}; allowed are open, close")
        elif key in self._connections:
            index = self._connections[key]
            self._history.connections[index] = replace(
                self._history.connections[index],
                closed_ns=self._at(record),
                how=record.get("how"),
                by=record.get("by"),
                bytes_in=record.get("bytes_in", 0),
                requests=record.get("requests", 0),
            )

    def _tentacle(self, key: tuple[str, int, int], record: Record) -> None:
        """Add one of up to four records of a connection at the Tentacle port; see `mocknode.mock.tentacle.records`."""
        items = self._history.tentacles
        if record["phase"] == "open":
            self._tentacles[key] = len(items)
            node, boot, conn = key
            items.append(
                TentacleConnection(node=node, boot=boot, conn=conn, peer=record["peer"], opened_ns=self._at(record))
            )
            return
        index = self._tentacles.get(key)
        if index is None and key[:2] in self._drops:
            return  # The node said that it dropped entries, and this connection's first record is among them.
        if index is None:
            raise ValueError(f"connection {key} at the Tentacle port was never opened")
        match record["phase"]:
            case "hello":
                more = {name: record[name] for name in ("opening", "first_bytes", "hello")}
            case "identified":
                more = {name: record.get(name) for name in ("thumbprint", "trusted", "subscription")}
                more["identified_ns"] = self._at(record)
            case "close":
                more = {name: record.get(name) for name in ("by", "how", "cause", "log")}
                more |= {"closed_ns": self._at(record), "bytes_in": record["bytes_in"], "requests": record["requests"]}
            case phase:
                raise ValueError(f"a connection has no phase {phase!r}; allowed are open, hello, identified, close")
        items[index] = replace(items[index], **more)

    def _state(self, record: Record) -> None:
        self._history.states.append(
            StateChange(
                node=record["node"],
                t_ns=self._at(record),
                state=record["state"],
                how=record.get("how"),
                cause=record.get("cause", "command"),
            )
        )

    def _fault(self, record: Record) -> None:
        self._history.faults.append(
            FaultEvent(
                node=record["node"],
                t_ns=self._at(record),
                phase=record["phase"],
                fault=record["id"],
                detail=record.get("fault") or {},
                attempt=record.get("attempt"),
            )
        )

    def _dropped(self, record: Record) -> None:
        """Keep one `Dropped` for each start of a node; each line repeats the total so far."""
        key, entries = (record["node"], record["boot"]), int(record["entries"])
        index = self._drops.setdefault(key, len(self._history.dropped))
        if index == len(self._history.dropped):
            self._history.dropped.append(Dropped(node=record["node"], t_ns=self._at(record), entries=entries))
        else:
            self._history.dropped[index] = replace(self._history.dropped[index], entries=entries)


class AnsweringNodes:
    """Finds out which node answered an attempt, for balancers that remove `Octopus-Node` from every answer.

    The answering node is the one whose journal has the request with the same status. As soon as one answer has carried the header,
    an answer without it came from the balancer itself, and nothing is looked up any more.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._told = False
        self._open: list[int] = []

    def seen(self, attempt: Attempt) -> None:
        """Take note of the attempt that was recorded last."""
        self._told = self._told or attempt.node is not None
        if attempt.node is None and attempt.status is not None:
            self._open.append(len(self._history.attempts) - 1)

    def find(self) -> None:
        """Fill in the node of each attempt whose request, with the status that the client got, has been read by now."""
        if self._told or not self._open:
            return
        attempts = self._history.attempts
        answers = {(r.attempt, r.status): r.node for r in self._history.requests if r.attempt is not None}
        left = []
        for index in self._open:
            node = answers.get((attempts[index].id, attempts[index].status))
            if node is None:
                left.append(index)
            else:
                attempts[index] = replace(attempts[index], node=node)
        self._open = left
