"""Checks of MESH-VALIDATION: bad documents are refused for the right reason."""
