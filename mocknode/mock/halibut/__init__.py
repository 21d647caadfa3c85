"""Halibut, the protocol between an Octopus Server and its Tentacles, without I/O: both ends of polling and of listening.

`Connection` is one conversation, `events` are its results, `messages` are requests and responses, `roles` holds the transition
tables, and `limits` bounds what a peer may send. Written from the protocol's open-source implementation at fe55a785
(2026-05-13); facts from it are marked where they are used.
"""

from mocknode.mock.halibut.connection import Connection, OutOfTurnError
from mocknode.mock.halibut.messages import RequestMessage, ResponseMessage, ServerError
from mocknode.mock.halibut.roles import State

__all__ = ["Connection", "OutOfTurnError", "RequestMessage", "ResponseMessage", "ServerError", "State"]
