"""The users of a load run: plain locust, in a process of its own.

Nothing here imports any other part of `mocknode`, because gevent patches this process, and code that judges must not be patched. The
two communicate by options on the command line, and by files of JSON lines with attempts and audit samples (`records`).
"""
