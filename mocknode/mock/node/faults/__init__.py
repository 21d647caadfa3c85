"""Faults: one file per kind, one registry (`kinds`). A fault is pure; `http/effects_runner.py` carries its effects out.

ARCHITECTURE.md has the recipe "Add a fault".
"""

from mocknode.mock.node.faults.fault import Fault
from mocknode.mock.node.faults.kinds import FAULTS, describe
from mocknode.mock.node.faults.options import FaultError
from mocknode.mock.node.faults.spec import FaultSpec, parse_fault

__all__ = ["FAULTS", "Fault", "FaultError", "FaultSpec", "describe", "parse_fault"]
