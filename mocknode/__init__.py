"""A mock Octopus Deploy node cluster to put behind a load balancer.

Words used throughout (DESIGN of the project, Octopus' own vocabulary): node, ping, drain, offline, raw upload,
balancer, fault, trigger, journal, controller, agent. `ARCHITECTURE.md` beside this file is the map.
"""

__version__ = "0.1.0"
