"""The node's network: pods' interfaces and routes, and the Services' rules.

What belongs here: what packets need inside the node's network namespace. What
does not: the host's interfaces, rules and forwarding, which stay untouched,
and the rules that a pod's own init container puts into its namespace.
"""
