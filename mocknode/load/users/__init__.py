"""Load on a balancer in front of a mock cluster: plain locust, in a process of its own.

Nothing here imports anything else of `mocknode`: gevent patches this process, and what judges must not be patched. What passes
between both is in files: options on the command line, attempts and audit samples as JSON lines (`records`).
"""
