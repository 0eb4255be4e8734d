"""Where a mesh runs: one module or package per backend (``local``, ``kind``, ``existing``).

What belongs here: making, finding and removing a Kubernetes cluster. What does
not: which mesh is installed on it (``implementations``) and what is asked of it.
"""
