"""One node's process: what a load balancer meets when it talks to an Octopus server.

`python -m mocknode.mock.node --control-fd N` starts it; the agent that did so speaks JSON lines over that descriptor. `node.py`
puts the parts together. `http/` carries requests and knows the node by `http/site.py` alone; `rest/` answers them; `faults/`,
`lifecycle` and `triggers` decide without I/O; `services.py` is what every part may use.
"""
