"""Tests of a user's own routes without a mesh: documents in, what a mesh must do with a request out.

What belongs here: reading a user's documents, from files or a running cluster, and the oracle's answer in the form in
which a test reads it. What does not: what a mesh must do (``oracle``), what is generated (``strategies``), and
anything that needs a cluster, a privilege or a certain operating system.
"""

from pytest_mesh.offline.mesh import OfflineMesh, offline
from pytest_mesh.offline.replies import Reply, Uncertain

__all__ = ["OfflineMesh", "Reply", "Uncertain", "offline"]
