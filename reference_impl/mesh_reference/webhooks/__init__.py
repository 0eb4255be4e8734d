"""The admission webhooks: AdmissionReviews in and out, and the CA bundles that make them trusted.

What belongs here: HTTP and Kubernetes' envelopes. What does not: whether and how a
pod is injected (`injection`) and what is wrong with a resource (`validation`).
"""
