"""The controllers: what turns Deployments, Services and deletions into Pods, endpoints and clean-up.

What belongs here: one module per controller, each a pure function over the
objects it reads with a thin loop around it, written as clients of the API.
What does not: anything that needs the node (processes, interfaces, rules) or the
API server's memory.
"""

from pytest_mesh.clusters.local.controllers.everything import run

__all__ = ["run"]
