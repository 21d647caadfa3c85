"""The controller: keeps the desired state and the faults of every node of one cluster, and carries them out.

It reaches the nodes through agents; `agent` lists what an agent does. A node that dies unexpectedly stays dead, shown as
offline by crash with the cause, until somebody asks for another state. Faults outlive their node's process: the next process
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
"""A node that does not report its counters in this time is shown without them."""
_AGENT_MARGIN_S: Final = 5.0
"""Added to the agent's own limits, so that the controller gives up only when the agent itself hangs."""


class UnknownNodeError(RefusedError):
    """No node of the cluster has that name."""


class UnknownFaultError(RefusedError):
    """The node has no fault with that id."""


class StartError(Exception):
    """A node did not start; the message ends with the tail of its log."""


class Controller:
    """Keeps every node in its desired state."""

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
        """Accept the connection of the agent that runs all nodes."""
        self._agent = await Channel.connect(sock, lambda _, message: self._on_message(message))

    @property
    def names(self) -> list[str]:
        """Names of all nodes, in the order of the settings."""
        return list(self._members)

    def member(self, name: str) -> Member:
        """Return the node with that name.

        Raises:
            UnknownNodeError: no node has it; the message names those that exist.
        """
        if name in self._members:
            return self._members[name]
        hint = did_you_mean(name, self.names)
        raise UnknownNodeError(
            f"node: got {name!r}, allowed: {', '.join(self.names)}{hint}", got=name, allowed=self.names
        )

    async def start(self) -> None:
        """Start every node and return when all are ready.

        Raises:
            StartError: at least one node did not start.
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
        """End every node and close the connection to the agent."""
        if self._agent is None:
            return
        # When the agent is gone, so are its nodes.
        with contextlib.suppress(ChannelClosedError, TimeoutError):
            await self._ask({"do": "stop"}, COMMAND_LIMIT_S)
        await self._agent.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def nodes(self) -> list[dict[str, Any]]:
        """Return every node with its counters, as the control API shows it."""
        return list(await asyncio.gather(*(self.node(name) for name in self._members)))

    async def node(self, name: str) -> dict[str, Any]:
        """Return one node with its counters."""
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
        """Change a node's state, now or when a trigger fires.

        Args:
            cancel_tasks: With a drain: cancel the tasks that the node runs.

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
                f"{member.name} is {member.condition} and evaluates no triggers; allowed now: a state without after",
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
            # The node announces its new state before it answers; noting the answer would undo any later change.
            line = {"do": "state", **wanted.document(), "after": None, "cause": cause}
            line["cancel_tasks"] = cancel_tasks
            await self._send(member, *member.queued_commands, line, wake=True)
            member.queued_commands.clear()

    async def reset(self) -> None:
        """Put every node online and remove all faults and triggers."""
        await asyncio.gather(*(self._reset(member) for member in self._members.values()))

    async def _reset(self, member: Member) -> None:
        async with member.lock:
            member.faults.clear()
            # Queued faults and states are void after a reset; the command that the data changed is not.
            remaining = [line for line in member.queued_commands if line["do"] == "data-changed"]
            member.queued_commands.clear()
            if member.alive:
                try:
                    await self._send(member, *remaining, {"do": "reset"}, wake=True)
                except UnreachableNodeError:
                    if member.alive:
                        raise
            if not member.alive:
                await self._boot(member, ONLINE, "reset")

    async def add_fault(self, name: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Set a fault and return the fault object with its new id.

        Raises:
            UnknownNodeError, RefusedError: nothing was set.
        """
        member = self.member(name)
        parse_fault(document)
        fault = parse_fault({**document, "id": f"f{next(self._fault_numbers)}"}).document()
        async with member.lock:
            # Noted first: it may end before the answer that it was set arrives.
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
        # A reset repeats the state of a node that was online already; that is no change.
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
        """Send a command to a reachable node and return its answer.

        Raises:
            UnknownNodeError, RefusedError: the node does not exist, takes no commands, or refused.
        """
        member = self.member(name)
        if not member.reachable:
            # A node that died a moment ago may not be marked offline yet.
            now = member.condition if member.condition.form else "dead"
            raise RefusedError(f"{name} is {now} and takes no commands", got=name)
        return await self._send(member, line)

    async def send_to_all(self, line: Message) -> None:
        """Send a command to every node: a frozen node gets it when it wakes, a dead one never, as it starts afresh."""
        await asyncio.gather(*(self._send_to_one(member, line) for member in self._members.values()))

    async def _send_to_one(self, member: Member, line: Message) -> None:
        async with member.lock:
            # A node that dies or hangs meanwhile must not fail a command for all nodes.
            with contextlib.suppress(RefusedError, ChannelClosedError, TimeoutError):
                await self._send_or_queue(member, line)

    async def _send(self, member: Member, *lines: Message, wake: bool = False) -> Any:
        return await self._ask({"do": "send", "node": member.name, "messages": lines, "wake": wake}, COMMAND_LIMIT_S)

    async def _ask(self, message: Message, limit_s: float) -> Any:
        if self._agent is None:
            raise ChannelClosedError("no agent is connected")
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
        # The node that asked may have died meanwhile; then nobody waits for the answer.
        with contextlib.suppress(RefusedError, ChannelClosedError, TimeoutError):
            await self._ask({"do": "answer", "node": asker.name, "line": line}, COMMAND_LIMIT_S)
