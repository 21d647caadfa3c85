"""Clients that control every byte they send to a balancer's front door, and record each attempt as they saw it.

`request` and `upload` use a connection of their own; `Http1Connection` and `Http2Connection` carry several exchanges; `steady` sends
background traffic. No client ever repeats a request. `RequestSpec` with `Body`, `Framing`, `Pace` and `AbortAt` describes what to
send; the result is a `mocknode.judge.record.history.Attempt`.
"""

from mocknode.judge.traffic.background import Steady, steady
from mocknode.judge.traffic.connecting import NotConnectedError
from mocknode.judge.traffic.framing import Framing
from mocknode.judge.traffic.front import FrontDoor
from mocknode.judge.traffic.http1 import Http1Connection
from mocknode.judge.traffic.http2 import Http2Connection
from mocknode.judge.traffic.pace import AbortAt, Pace, Pause
from mocknode.judge.traffic.package import (
    Body,
    Package,
    attempt_of_file_name,
    new_attempt_id,
    package_body,
    package_file_name,
)
from mocknode.judge.traffic.requests import request, upload, upload_spec
from mocknode.judge.traffic.spec import RequestSpec

__all__ = [
    "AbortAt",
    "Body",
    "Framing",
    "FrontDoor",
    "Http1Connection",
    "Http2Connection",
    "NotConnectedError",
    "Pace",
    "Package",
    "Pause",
    "RequestSpec",
    "Steady",
    "attempt_of_file_name",
    "new_attempt_id",
    "package_body",
    "package_file_name",
    "request",
    "steady",
    "upload",
    "upload_spec",
]
