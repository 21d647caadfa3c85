"""Kinds of streams of a workload, one file each."""
