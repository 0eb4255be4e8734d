"""A cluster in Docker, made by the ``kind`` program (``--mesh-cluster=kind``).

What belongs here: making, finding and removing such a cluster, and building and
loading the images that its pods run. What does not: any knowledge of a mesh, and
pytest-kind's code: its class is given on request and never used.
"""
