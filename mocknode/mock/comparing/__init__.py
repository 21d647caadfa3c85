"""The comparison of a mock node with a real server: the same requests to both, and the differences between their answers.

`table` lists the requests, `shapes` compares the answers without I/O, `asking` sends the requests.
"""
