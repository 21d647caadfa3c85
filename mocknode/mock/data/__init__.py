"""Data that the nodes of a cluster share: the store, and the packages, users, machines, tasks and snapshots in it."""
