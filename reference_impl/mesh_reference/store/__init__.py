"""The mesh as the API server tells it: watches in, immutable MeshSnapshots out.

What belongs here: the index of what is known, the watches that feed it, and the pause that gathers events into one push.
What does not: the meaning of resources (``model``) and what Envoys are told (``xds``).
"""
