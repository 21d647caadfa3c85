"""A mock node beside a real server: the same requests to both, and where the answers differ.

`table` says what is asked, `shapes` (pure) compares, `asking` does the I/O.
"""
