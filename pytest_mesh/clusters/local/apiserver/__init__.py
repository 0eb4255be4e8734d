"""The embedded Kubernetes API server: one asyncio process that keeps every object in memory.

Requests flow ``server`` (HTTP, authentication) -> ``routing`` (what is asked of which
resource) -> ``reading``/``writing``/``subresources`` -> ``store``. What does not belong
here: controllers and the kubelet, which are clients of this API in another process.
"""
