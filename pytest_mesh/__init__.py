"""The plugin and the harness: clusters, traffic, verdicts and reports for service meshes.

What belongs here: everything that a test of *any* mesh needs. What does not:
knowledge of how one mesh works inside (that is data in ``implementations/``),
and the checks themselves (``mesh_conformance``).
"""

__version__ = "0.1.0"
