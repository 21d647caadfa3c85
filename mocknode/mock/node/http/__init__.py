"""One connection to a node: bytes in, requests out, faults carried out on the wire."""
