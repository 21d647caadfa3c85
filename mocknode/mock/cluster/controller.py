"""The controller: one a cluster. It keeps what every node shall be and which faults it has, and makes it so.

It reaches the nodes through agents (`agent` says what can be asked of one). A node that dies unexpectedly stays dead,
offline by crash with the cause, until somebody asks for another state. Faults outlive their node's process: the next one
gets them with its configuration, before its first connection.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mocknode.mock.cluster.agent import COMMAND_LIMIT_S, FREEZE_LIMIT_S, START_LIMIT_S
from mocknode.mock.cluster.channel import Channel, ChannelClosedError, Message, UnreachableNodeError
from mocknode.mock.cluster.events import Events
from mocknode.mock.cluster.journal_files import last_boot
from mocknode.mock.cluster.members import Member, Place
from mocknode.mock.cluster.shared_config import SharedConfig
from mocknode.mock.cluster.tentacle_calls import PendingCalls
from mocknode.mock.node.faults import parse_fault
from mocknode.mock.node.lifecycle import ONLINE, Condition, Form, State, parse_condition, step
from mocknode.mock.node.refusals import RefusedError
from mocknode.mock.node.triggers import parse_trigger
from mocknode.text.suggestions import did_you_mean

_STATUS_LIMIT_S: Final = 1.0
"""A node that does not say its counters in this time is shown without them."""
_AGENT_MARGIN_S: Final = 5.0
"""An agent has limits of its own; the controller gives up only when the agent itself hangs."""


class UnknownNodeError(RefusedError):
    """No node has that name."""


class UnknownFaultError(RefusedError):
    """The node has no fault with that id."""


class StartError(Exception):
    """A node did not start; the message ends with the tail of its log."""


class Controller:
    """Keeps the cluster as it shall be; made by `connect`."""

    def __init__(self, shared: SharedConfig, places: Iterable[Place]) -> None:
        self.shared = shared
        self.events = Events()
        self._members = {
            place.name: Member(place=place, boot=last_boot(shared.run_dir, place.name)) for place in places
        }
        self._fault_numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._agent: Channel | None = None
        self._spawned = asyncio.Event()
        self.tentacle_calls = PendingCalls()

    async def accept(self, sock: socket.socket) -> None:
        """Take an agent's connection; every node is its to run."""
        self._agent = await Channel.connect(sock, lambda _, message: self._on_message(message))

    @property
    def names(self) -> list[str]:
        """Names of all nodes, in their order."""
        return list(self._members)

    def member(self, name: str) -> Member:
        """The node of that name.

        Raises:
            UnknownNodeError: naming those that exist.
        """
        if name in self._members:
            return self._members[name]
        hint = did_you_mean(name, self.names)
        raise UnknownNodeError(
            f"node: got {name!r}, allowed: {', '.join(self.names)}{hint}", got=name, allowed=self.names
        )

    async def start(self) -> None:
        """Start every node; return when all are ready.

        Raises:
            StartError: at least one did not start.
        """
        results = await asyncio.gather(
            *(self._boot(member, ONLINE, "command") for member in self._members.values()), return_exceptions=True
        )
        self._spawned.set()
        for result in results:
            if isinstance(result, RefusedError):
                raise StartError(result.detail) from result
            if isinstance(result, BaseException):
                raise result

    async def spawned(self) -> None:
        """Wait until every node has a process, ready or not."""
        await self._spawned.wait()

    async def stop(self) -> None:
        """End every node and let the agent go."""
        if self._agent is None:
            return
        # Without an agent its nodes are gone already.
        with contextlib.suppress(ChannelClosedError, TimeoutError):
            await self._ask({"do": "stop"}, COMMAND_LIMIT_S)
        await self._agent.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def nodes(self) -> list[dict[str, Any]]:
        """Every node with its counters, as the control API shows it."""
        return list(await asyncio.gather(*(self.node(name) for name in self._members)))

    async def node(self, name: str) -> dict[str, Any]:
        """One node with its counters."""
        member = self.member(name)
        status = None
        if member.reachable:
            try:
                status = await asyncio.wait_for(self._send(member, {"do": "status"}), _STATUS_LIMIT_S)
            except (RefusedError, TimeoutError):
                status = None
        return member.document(status)

    async def set_state(
        self,
        name: str,
        state: str,
        how: str | None = None,
        after: str | None = None,
        *,
        cause: str = "command",
        cancel_tasks: bool = False,
    ) -> None:
        """Change a node's state, now or when a trigger is met.

        Args:
            cancel_tasks: With a drain: cancel what the node runs.

        Raises:
            UnknownNodeError, RefusedError: nothing was changed.
        """
        member = self.member(name)
        wanted = parse_condition(state, how)
        if after is not None:
            parse_trigger(after)
        if cancel_tasks and (wanted.state is not State.DRAINING or after is not None):
            raise RefusedError(
                "cancel_tasks: got true, allowed: with the state draining and without after",
                got=True,
                allowed=["false"],
            )
        async with member.lock:
            step(member.condition, wanted)
            if after is not None:
                await self._arm(member, wanted, after)
            elif not member.alive:
                await self._revive(member, wanted, cause)
            else:
                await self._change(member, wanted, cause, cancel_tasks=cancel_tasks)

    async def _arm(self, member: Member, wanted: Condition, after: str) -> None:
        if not member.reachable:
            raise RefusedError(
                f"{member.name} is {member.condition} and evaluates no trigger; allowed now: a state without after",
                got=after,
                allowed=["null"],
            )
        await self._send(member, {"do": "state", **wanted.document(), "after": after})

    async def _revive(self, member: Member, wanted: Condition, cause: str) -> None:
        if wanted.form is not Form.CRASH:
            await self._boot(member, wanted, cause)

    async def _change(self, member: Member, wanted: Condition, cause: str, *, cancel_tasks: bool) -> None:
        if wanted.form is Form.CRASH:
            await self._ask({"do": "kill", "node": member.name, "cause": cause}, COMMAND_LIMIT_S)
            member.died(cause)
            self._now(member, wanted, cause)
        elif wanted.form is Form.FREEZE:
            if member.condition.form is not Form.FREEZE:
                await self._ask({"do": "freeze", "node": member.name}, FREEZE_LIMIT_S)
                self._now(member, wanted, cause)
        else:
            # The node announces its new state before it answers; noting the answer would undo what came after it.
            line = {"do": "state", **wanted.document(), "after": None, "cause": cause}
            line["cancel_tasks"] = cancel_tasks
            await self._send(member, *member.queued_commands, line, wake=True)
            member.queued_commands.clear()

    async def reset(self) -> None:
        """Every node online, no faults, no triggers."""
        await asyncio.gather(*(self._reset(member) for member in self._members.values()))

    async def _reset(self, member: Member) -> None:
        async with member.lock:
            member.faults.clear()
            # Faults and states that it was owed are void; that its data are others is not.
            owed = [line for line in member.queued_commands if line["do"] == "data-changed"]
            member.queued_commands.clear()
            if member.alive:
                try:
                    await self._send(member, *owed, {"do": "reset"}, wake=True)
                except UnreachableNodeError:
                    if member.alive:
                        raise
            if not member.alive:
                await self._boot(member, ONLINE, "reset")

    async def add_fault(self, name: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Set a fault; the fault object with the id it got.

        Raises:
            UnknownNodeError, RefusedError: nothing was set.
        """
        member = self.member(name)
        parse_fault(document)
        fault = parse_fault({**document, "id": f"f{next(self._fault_numbers)}"}).document()
        async with member.lock:
            # Noted first: it may have ended before we hear that it was set.
            member.faults[fault["id"]] = fault
            try:
                await self._send_or_queue(member, {"do": "fault-add", "fault": fault})
            except (RefusedError, ChannelClosedError, TimeoutError):
                del member.faults[fault["id"]]
                raise
        self.events.publish({"event": "fault-set", "node": name, "fault": fault})
        return fault

    async def remove_fault(self, name: str, fault_id: str) -> None:
        """Remove a fault.

        Raises:
            UnknownNodeError, UnknownFaultError: nothing was removed.
        """
        member = self.member(name)
        async with member.lock:
            if fault_id not in member.faults:
                allowed = list(member.faults)
                raise UnknownFaultError(
                    f"fault on {name}: got {fault_id!r}, allowed: {', '.join(allowed) or 'none is set'}",
                    got=fault_id,
                    allowed=allowed,
                )
            await self._send_or_queue(member, {"do": "fault-remove", "fault_id": fault_id})
            member.faults.pop(fault_id, None)

    async def clear_faults(self, name: str) -> None:
        """Remove every fault of a node."""
        member = self.member(name)
        async with member.lock:
            await self._send_or_queue(member, {"do": "fault-clear"})
            member.faults.clear()

    async def _boot(self, member: Member, condition: Condition, cause: str) -> None:
        member.boot += 1
        config = self.shared.config(member, condition, self.names)
        await self._ask({"do": "start", "node": member.name, "config": config}, START_LIMIT_S)
        if member.alive:
            self._now(member, condition, cause)

    def _now(self, member: Member, condition: Condition, cause: str) -> None:
        # A node that was online says so again when it is reset; that is no news.
        if member.condition == condition and cause in (member.cause, "reset"):
            return
        member.condition, member.cause = condition, cause
        self.events.publish({"event": "state", "node": member.name, **condition.document(), "cause": cause})

    async def _send_or_queue(self, member: Member, line: Message) -> None:
        if member.reachable:
            await self._send(member, line)
        elif member.alive:
            member.queued_commands.append(line)

    async def send(self, name: str, line: Message) -> Any:
        """Have a node that hears do something; its answer.

        Raises:
            UnknownNodeError, RefusedError: it could not.
        """
        member = self.member(name)
        if not member.reachable:
            # One that died a moment ago may not be known to be offline yet.
            now = member.condition if member.condition.form else "dead"
            raise RefusedError(f"{name} is {now} and hears nothing", got=name)
        return await self._send(member, line)

    async def send_to_all(self, line: Message) -> None:
        """Have every node do something: a stopped one when it wakes, and a dead one never, as it begins anew."""
        await asyncio.gather(*(self._send_to_one(member, line) for member in self._members.values()))

    async def _send_to_one(self, member: Member, line: Message) -> None:
        async with member.lock:
            # One that dies or hangs meanwhile is nobody's fault who changed something for all.
            with contextlib.suppress(RefusedError, ChannelClosedError, TimeoutError):
                await self._send_or_queue(member, line)

    async def _send(self, member: Member, *lines: Message, wake: bool = False) -> Any:
        return await self._ask({"do": "send", "node": member.name, "messages": lines, "wake": wake}, COMMAND_LIMIT_S)

    async def _ask(self, message: Message, limit_s: float) -> Any:
        if self._agent is None:
            raise ChannelClosedError("no agent has dialled in")
        return await self._agent.request(message, limit_s + _AGENT_MARGIN_S)

    def _on_message(self, message: Message) -> None:
        member = self._members[message.pop("from")]
        match message["event"]:
            case "spawned":
                member.pid = message["pid"]
                if all(other.alive for other in self._members.values()):
                    self._spawned.set()
            case "exit":
                self._exited(member, message)
            case "state":
                self._now(member, parse_condition(message["state"], message["how"]), message["cause"])
            case "fault-ended":
                member.faults.pop(message["id"], None)
                self.events.publish({**message, "node": member.name})
            case "tentacle-called":
                self.tentacle_calls.answered(message)
            case "drain-request":
                task = asyncio.create_task(self._drain_request(member, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _exited(self, member: Member, message: Message) -> None:
        if message["boot"] != member.boot:
            return
        self.tentacle_calls.node_lost(member.name)
        member.died(message["cause"])
        if member.condition.form is not Form.CRASH:
            self._now(member, parse_condition("offline", "crash"), message["cause"])

    async def _drain_request(self, asker: Member, message: Message) -> None:
        line: Message = {"reply": message["id"], "ok": True}
        try:
            await self.set_state(message["node"], "draining" if message["draining"] else "online", cause="api")
        except RefusedError as exc:
            line |= {"ok": False, "error": exc.document()}
        # The asker may have died meanwhile; then nobody waits for the answer.
        with contextlib.suppress(RefusedError, ChannelClosedError, TimeoutError):
            await self._ask({"do": "answer", "node": asker.name, "line": line}, COMMAND_LIMIT_S)
