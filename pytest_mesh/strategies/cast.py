"""The cast of the cells: the Services, subsets and names that routes may send to, and the documents that set it up."""

from __future__ import annotations

from pytest_mesh.contracts import Json

TARGET, OTHER, SIDE = "target", "other", "side"
SIDE_PORT = 8000
TCP_PORT, TLS_PORT = 9000, 9443
PORTS = {80: 8080, TCP_PORT: 9090, TLS_PORT: 9443}
"""Ports of the stand-ins' Services, and of their pods."""
PROTOCOLS = {TCP_PORT: "tcp", TLS_PORT: "tls"}
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
    {"host": SIDE},
    {"host": SIDE, "port": {"number": SIDE_PORT}},
)
"""Where routes send: both versions, one of them, another Service, one on another port, and five ways to get 503."""

SIDE_SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": SIDE},
    "spec": {
        "selector": {"app": OTHER},
        "ports": [{"name": "http", "port": SIDE_PORT, "targetPort": 8080}],
    },
}
"""The pods of ``other`` behind a port that no request of a cell goes to."""

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
                "spec": {
                    "selector": {"app": service},
                    "ports": [{"name": f"{PROTOCOLS.get(port, 'http')}-{port}", "port": port} for port in PORTS],
                },
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
    return [
        *found,
        *({**one, "metadata": {**one["metadata"], "namespace": namespace}} for one in (SIDE_SERVICE, SUBSETS)),
    ]
