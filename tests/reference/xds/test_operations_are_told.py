"""Callers without a proxy of their own see x-envoy-decorator-operation, as with Istio: a route's operation needs tracing."""

from __future__ import annotations

from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from mesh_reference.xds import network_filters


def manager(made):
    out = HttpConnectionManager()
    made.typed_config.Unpack(out)
    return out


def test_the_servers_side_names_its_operation_and_traces_so_that_it_is_told():
    found = manager(
        network_filters.inbound_http("inbound|8080||", 8080, "reviews.shop.svc.cluster.local:80/*", "", "", retry=False)
    )
    (route,) = found.route_config.virtual_hosts[0].routes
    assert route.decorator.operation == "reviews.shop.svc.cluster.local:80/*"
    assert found.HasField("tracing")


def test_the_clients_side_traces_too_so_that_it_takes_the_header_away_again():
    assert manager(network_filters.outbound_http("80", "outbound", "")).HasField("tracing")
