"""Judges of workload identity: SPIFFE IDs, X509-SVIDs, chains. Pure functions over parsed data.

What belongs here: rules by id, each a finding when broken. What does not: how a
certificate was obtained (``traffic``), and what a mesh calls its secrets.
"""
