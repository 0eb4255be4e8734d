"""The oracle: what an Istio-API mesh must do with one request, computed from the documents alone.

What belongs here: the model of services, VirtualServices and DestinationRules, the prediction with its explanation,
and the judgement of an observation. All of it is pure. What does not: sending requests (``traffic``), generating
documents (``strategies``), and any line of a control plane's code.
"""
