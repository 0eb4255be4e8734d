"""Drives workloads, collects what they observed, and decides what samples prove.

What belongs here: batches sent through the API server, responses as tests read
them, the epoch gate, and (pure) the statistics of splits. What does not: the
code that runs inside pods (``workloads``) and what a route should do (``oracle``).
"""
