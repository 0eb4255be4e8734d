"""The cast of the cells: the Services, subsets and names that routes may send to, and the documents that set it up."""

from __future__ import annotations

from pytest_mesh.contracts import Json

TARGET, OTHER = "target", "other"
VERSIONS = {TARGET: ("v1", "v2"), OTHER: ("o1",)}
"""Service name: versions of the stand-in behind it."""

DESTINATIONS: tuple[Json, ...] = (
    {"host": TARGET, "subset": "v1"},
    {"host": TARGET, "subset": "v1"},
    {"host": TARGET, "subset": "v2"},
    {"host": TARGET, "subset": "v2"},
    {"host": TARGET},
    {"host": OTHER},
    {"host": OTHER, "port": {"number": 80}},
    {"host": TARGET, "subset": "empty"},
    {"host": TARGET, "subset": "nowhere"},
    {"host": "stranger"},
    {"host": TARGET, "port": {"number": 81}},
)
"""Where routes send: both versions, one of them, another Service, and four ways to get 503."""

SUBSETS: Json = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": TARGET},
    "spec": {
        "host": TARGET,
        "subsets": [
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "v2", "labels": {"version": "v2"}},
            {"name": "empty", "labels": {"version": "v9"}},
        ],
    },
}


def documents(namespace: str) -> list[Json]:
    """Give the cast as documents that the oracle reads."""
    found: list[Json] = []
    for service, versions in VERSIONS.items():
        found.append(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": service, "namespace": namespace},
                "spec": {"selector": {"app": service}, "ports": [{"name": "http", "port": 80}]},
            }
        )
        found += [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{service}-{version}",
                    "namespace": namespace,
                    "labels": {"app": service, "version": version},
                },
            }
            for version in versions
        ]
    return [*found, {**SUBSETS, "metadata": {"name": TARGET, "namespace": namespace}}]
