"""Everything that surrounds the nodes of a cluster: controller, agent, control API and its client, certificates, ports.

Each cluster has one controller, which keeps the desired state and the faults of every node. The controller reaches the nodes
through agents, one on each host, which start and end node processes. `mocknode up` runs the only agent in its own process and
talks to it over a socket pair.
"""
