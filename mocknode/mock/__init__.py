"""The mock cluster: nodes as processes, what they share, the Tentacle port, and the controller that commands them."""
