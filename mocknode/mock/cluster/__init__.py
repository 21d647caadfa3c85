"""The cluster around the nodes: controller, agent, control API and its client, certificates, ports.

One controller a cluster keeps the desired state and the faults of every node. It reaches the nodes through agents, one a
host, which start and end node processes; `mocknode up` runs the only agent in its own process, over a socket pair.
"""
