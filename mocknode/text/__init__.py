"""Helpers for text that people write and read: durations and sizes, strict YAML, JSON, suggestions for misspelt words."""
