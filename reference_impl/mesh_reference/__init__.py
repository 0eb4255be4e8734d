"""The reference control plane: Pilot, Citadel, Galley and the injector, in Python.

What belongs here: a small, readable istiod and the agent beside each Envoy.
What does not: anything that knows how it is tested.
"""

__version__ = "0.1.0"
