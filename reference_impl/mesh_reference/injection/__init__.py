"""The injector: a pod and settings in, the pod with its sidecar and the patch out. Pure.

What belongs here: the decision whether to inject, what is injected, the checks of
annotations, overrides and re-injection, and `kube-inject` for files (its command
alone does I/O). What does not: AdmissionReviews and HTTP (the room `webhooks`).
"""
