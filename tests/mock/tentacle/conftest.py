"""Tentacle ports for tests: `port_stage` in this process, `RunningNode` of tests/node in its own."""

import sys
from pathlib import Path

# Test modules are imported by path (importlib mode), so what they share must be findable.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "node"))
