"""The sidecar's own process: what runs beside Envoy in a pod.

What belongs here: Envoy's bootstrap and its life, certificates over SDS, the
way to istiod, health, and the capture rules of the pod's network namespace.
What does not: routes, clusters and listeners, which istiod makes.
"""
