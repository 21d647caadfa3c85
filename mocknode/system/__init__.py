"""Helpers around the operating system: child processes that never outlive us, TCP options, files written atomically."""
