"""A run of checks from start to report, and the same verdicts again from its record."""
