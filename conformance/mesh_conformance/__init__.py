"""The conformance suite: what an Istio-API mesh must do, judged from outside.

What belongs here: checks, each a ``test_x.py`` with its YAML beside it, and the
catalogue of features. What does not: fixtures, traffic, statistics and rules
(``pytest_mesh``), and any knowledge of the reference control plane.
"""
