"""Halibut, the protocol between an Octopus Server and its Tentacles, without I/O: both ends of polling and of listening.

`Connection` is one conversation, `events` what it learns, `messages` what is called and answered, `roles` who may do what
when, `limits` how much a peer may send. Written from the protocol's open-source implementation at fe55a785 (2026-05-13);
the facts are marked where they are used.
"""

from mocknode.mock.halibut.connection import Connection, OutOfTurnError
from mocknode.mock.halibut.messages import RequestMessage, ResponseMessage, ServerError
from mocknode.mock.halibut.roles import State

__all__ = ["Connection", "OutOfTurnError", "RequestMessage", "ResponseMessage", "ServerError", "State"]
