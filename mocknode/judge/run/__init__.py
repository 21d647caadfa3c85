"""Runs checks from start to report, and judges a saved run again from its record."""
