"""Describes the acme mesh to pytest-mesh: acme.toml, and nothing that runs."""
