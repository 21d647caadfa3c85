"""A mock Octopus Deploy cluster to put behind a load balancer, and the judge of that balancer.

`ARCHITECTURE.md` next to this file has the glossary, the map of the packages, and the decisions.
"""

__version__ = "0.1.0"
