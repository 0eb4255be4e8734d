"""Citadel: who a caller is, and a certificate that says so.

What belongs here: the signing authority (pure), the root in its Secret and in
every namespace's ConfigMap, authentication of bearer tokens, and the
certificate service. What does not: keys of workloads, which never leave the
agent, and anything of xDS.
"""
