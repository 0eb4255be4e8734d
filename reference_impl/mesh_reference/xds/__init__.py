"""Pilot: makes Envoy's configuration from a MeshSnapshot and serves it over ADS.

What belongs here: the generators (pure: snapshot in, protobuf out), their cache, the state of each connection, the two
protocols of ADS. What does not: watching Kubernetes (``store``) and the meaning of resources (``model``).
The importer of ``envoy.*`` and ``google.*``.
"""
