"""Tentacles: the port at which a node is polled, calls to them, and simulated Tentacles, one or a fleet.

A node's side: `listener` (TLS, first bytes, trust, how it ended), `serving` (the conversation), `queues` (what waits for whom),
`calling` (a health check, through a queue or by dialling). A Tentacle's side: `polling` (one, step by step, for checks), `loop`
(one that polls for ever, `backoff` saying when it is back), `listening` (one that is dialled), `services` (what they answer),
`fleet` and `registering`. Both sides: `tls`, `initiating` (whoever opens the connection), `identity`, `turns`, `calls`. `records`
says what the journal holds of a connection, `client_hello` reads what a TLS client sent first.
"""
