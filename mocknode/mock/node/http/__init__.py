"""The HTTP side of a node: connections, requests and their journal records, and the effects of faults.

It knows its node by `Site` (`site.py`) alone. `Stream` (`stream.py`) is what a version of HTTP has to offer.
"""
