"""Octodiff's binary formats, sans-IO: the signature of a file, and the reader of a delta against it.

All integers are little-endian; a text is its length (7 bits a byte, low ones first) and its bytes. Source: `pkg/octodiff` of
OctopusDeploy/go-octodiff, whose test vectors the tests repeat.
"""
