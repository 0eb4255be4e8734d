"""Checks of MESH-IDENTITY: certificates on the wire, their rotation, and what a peer may do without one."""
