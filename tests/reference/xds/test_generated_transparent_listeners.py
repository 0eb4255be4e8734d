"""The inbound listener of a proxy in TPROXY mode: it takes any address and keeps the client's."""

from __future__ import annotations

from mesh_of import CLIENT, configuration, listener

from mesh_reference.model.proxies import read_node
from mesh_reference.xds.configuration import Configuration


def filters(config: Configuration, mode: str) -> tuple[bool, list[str]]:
    node = f"sidecar~{CLIENT.address}~{CLIENT.id}~shop.svc.cluster.local"
    proxy = read_node(node, {"NAMESPACE": "shop", "INTERCEPTION_MODE": mode})
    made = listener(config, "virtualInbound", proxy)
    return made.get("transparent", False), [item["name"].rpartition(".")[2] for item in made["listenerFilters"]]


def test_a_transparent_proxys_inbound_listener_keeps_the_source_and_marks_it() -> None:
    config = configuration()
    transparent, names = filters(config, "TPROXY")
    assert transparent
    assert names[:2] == ["original_dst", "original_src"]
    assert (
        listener(
            config,
            "virtualInbound",
            read_node(f"sidecar~{CLIENT.address}~{CLIENT.id}~x", {"INTERCEPTION_MODE": "TPROXY"}),
        )["listenerFilters"][1]["typedConfig"]["mark"]
        == 1337
    )


def test_a_redirected_proxys_listener_does_not() -> None:
    transparent, names = filters(configuration(), "REDIRECT")
    assert not transparent
    assert "original_src" not in names
