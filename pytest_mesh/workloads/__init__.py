"""What runs inside pods: the echo server, and the client that sends Batches on request.

What belongs here: code that starts fast and needs only the standard library and
``contracts``. What does not: judging what was observed (``traffic``), and
anything that knows Kubernetes or a mesh.
"""
