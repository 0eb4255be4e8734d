"""A cluster that is there already, and somebody's: named by a kubeconfig, used within bounds, never removed.

What belongs here: which cluster a kubeconfig means, which rights a run needs
on it, what a run may touch there, and what a run that was killed left behind.
What does not: any knowledge of a mesh.
"""
