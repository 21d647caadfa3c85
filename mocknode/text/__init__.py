"""Helpers for text that people write and read: durations and sizes, strict YAML, JSON and its schemas, suggestions for misspelt words."""
