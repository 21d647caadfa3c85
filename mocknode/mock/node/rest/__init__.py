"""The REST side of a node: the table of routes, who may call them, and what they answer."""
