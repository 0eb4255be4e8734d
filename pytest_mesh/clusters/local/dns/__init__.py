"""Cluster DNS: names of Services and Pods below the cluster domain, as the Kubernetes DNS specification has them.

What belongs here: the zone (pure), the server on the node's address, forwarding of
other names. What does not: making the Service's virtual address reach the server (``network``).
"""

from pytest_mesh.clusters.local.dns.server import run

__all__ = ["run"]
