"""Checks of MESH-INJECTION: which pods get a proxy, what is in them, and that traffic really passes it."""
