"""Everything that speaks to or as a Tentacle: a node's Tentacle port, calls to Tentacles, and simulated Tentacles.

The node's side: `listener` (TLS, first bytes, trust, reason of the end), `serving` (the conversation), `queues` (requests that
wait for a Tentacle), `calling` (health checks through a queue or by dialling). The Tentacle's side: `polling_tentacle` (one
Tentacle, step by step, for checks), `polling_loop` (a Tentacle that polls for ever, with pauses from `backoff`),
`listening_tentacle` (a Tentacle that the server dials), `services` (their answers), `fleet` and `registering`. Both sides: `tls`,
`initiating` (the end that opens the connection), `identity`, `handshake_queue`, `calls`. `records` describes a connection in the
journal, and `client_hello` reads the first message of a TLS client.
"""
