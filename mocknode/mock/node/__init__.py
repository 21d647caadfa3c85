"""One node's process: what a load balancer meets when it talks to an Octopus server.

`python -m mocknode.mock.node --control-fd N` is the only way in; the agent that started it speaks JSON lines over that
descriptor. Pure parts (lifecycle, triggers, faults, names, multipart) decide, the shells around them (server, protocol,
exchange, control) carry out.
"""
