"""The node: one machine's worth of kubelet, whose containers are processes in namespaces.

What belongs here: running Pods as their spec says and telling the API what
became of them, and the process tree that holds it all. What does not: the API
server, the controllers, and the Services' packet rules.
"""
