"""Judges of workload identity: SPIFFE IDs, X509-SVIDs, chains, bundles. Pure functions over parsed data.

What belongs here: rules by id, each a finding when broken, what it takes to
make a certificate that keeps or breaks one, and the command over both
(``command``, the only edge). What does not: how a certificate was obtained
(``traffic``), and what a mesh calls its secrets.
"""
