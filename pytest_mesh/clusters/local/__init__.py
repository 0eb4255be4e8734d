"""The embedded cluster: a Kubernetes API and one node, without images, Docker or Go.

What belongs here: the API server, the node, its controllers, its network and
DNS, and the handle that starts and ends them. Importable alone: of the rest of
the package only ``contracts`` may be imported. What does not: anything that knows a mesh.
"""
