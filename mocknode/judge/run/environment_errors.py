"""The errors that end a run without saying anything about the balancer's configuration."""

from typing import Final

from mocknode.judge.lab.lab import SteadyStateLostError
from mocknode.judge.lab.preflight import BalancerUnreachableError, CannotJoinError, NotOurClusterError
from mocknode.mock.cluster.client import ControlError, ControlUnreachableError
from mocknode.mock.cluster.controller import StartError
from mocknode.mock.cluster.ports import PortError
from mocknode.mock.cluster.running_cluster import RunDirectoryError

ENVIRONMENT_ERRORS: Final = (
    SteadyStateLostError,
    NotOurClusterError,
    CannotJoinError,
    BalancerUnreachableError,
    ControlError,
    ControlUnreachableError,
    StartError,
    PortError,
    RunDirectoryError,
)
