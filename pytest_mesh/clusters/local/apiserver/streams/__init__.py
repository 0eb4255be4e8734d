"""Long-lived connections into Pods: logs, exec, attach, port-forward and the HTTP proxy.

What belongs here: the bridge between a client's protocol and the kubelet's, or a Pod's address.
What does not: running anything in a Pod, which is the kubelet's.
"""
