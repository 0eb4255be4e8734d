"""What the mesh is made of, as immutable values: services, endpoints, pods, Istio's resources, and the snapshot of them all.

What belongs here: typed resources and the reading of JSON into them. What does not: where events come from (``store``),
what is made of them (``xds``), and which resources are refused (``validation``).
"""
