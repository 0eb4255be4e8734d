"""Galley: pure rules that say what is wrong with a resource, and where.

What belongs here: the rules, their ids, the findings and their text. What does not:
HTTP, Kubernetes, files (the command alone reads those) and the shape of resources
(`model.schema`).
"""
