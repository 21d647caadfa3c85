"""Tentacles: the port at which a node is polled, its queues, and simulated Tentacles, one or a fleet.

A node's side is `listener` (TLS, trust, conversation), `queues` (what waits for whom) and `dialling` (the listening
direction). The other side is `polling` (one simulated Tentacle, step by step, for checks), `loop` (one that polls for ever)
and `fleet`. `records` says what the journal holds of a connection, `client_hello` reads what a TLS client sent first.
"""
