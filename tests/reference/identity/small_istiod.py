"""A small istiod for the agent's tests: the real certificate service, and one fixed configuration over delta ADS.

Run as a program: ``small_istiod.py DIRECTORY`` listens on 127.0.0.1:15012 with a
certificate for ``localhost``, writes the root to DIRECTORY/root-cert.pem, and
takes the token "good" as namespace shop, service account reviews. It hands out
one listener on port 9443 that requires mutual TLS with the certificates of SDS.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import grpc
from envoy.config.listener.v3 import listener_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import json_format

from mesh_reference.ca import authority, serving
from mesh_reference.ca.authentication import Authenticator

# Envoy's types are registered by import; json_format looks them up.
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401  isort: skip
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401  isort: skip
    http_connection_manager_pb2,
)
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401  isort: skip

TYPES = "type.googleapis.com/envoy"
LISTENER = f"{TYPES}.config.listener.v3.Listener"


class Tokens:
    """A TokenReview of one good token."""

    async def token_review(self, token: str, audiences: list[str]) -> dict[str, object]:
        if token != "good":
            return {"authenticated": False, "error": "unknown token"}
        groups = ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"]
        user = {"username": "system:serviceaccount:shop:reviews", "groups": groups}
        return {"authenticated": True, "audiences": audiences, "user": user}


def tls_listener(port: int) -> dict[str, object]:
    """One HTTP listener behind mutual TLS, answering 200 by itself; its key and roots come over SDS."""
    sds = {
        "resource_api_version": "V3",
        "initial_fetch_timeout": "0s",
        "api_config_source": {
            "api_type": "GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
        },
    }
    tls = {
        "@type": f"{TYPES}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": sds}],
            "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": sds},
        },
    }
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
    router = {"name": "router", "typed_config": {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"}}
    manager = {
        "@type": f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [router],
    }
    return {
        "name": "tls",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {
                "transport_socket": {"name": "tls", "typed_config": tls},
                "filters": [{"name": "hcm", "typed_config": manager}],
            }
        ],
    }


async def delta(requests, context) -> None:
    """Answer the first request of each type: one listener, and nothing else."""
    told = set()
    async for request in requests:
        if request.type_url in told:
            continue
        told.add(request.type_url)
        response = discovery_pb2.DeltaDiscoveryResponse(type_url=request.type_url, nonce="1", system_version_info="1")
        if request.type_url == LISTENER:
            listener = json_format.ParseDict(tls_listener(9443), listener_pb2.Listener())
            resource = response.resources.add(name="tls", version="1")
            resource.resource.Pack(listener)
        await context.write(response)


async def main(directory: Path) -> None:
    signer = authority.Authority.create("cluster.local", now=datetime.now(UTC))
    (directory / "root-cert.pem").write_text(signer.root_pem)
    server = grpc.aio.server()
    settings = SimpleNamespace(cluster_id="Kubernetes")
    serving.register(server, signer, Authenticator(Tokens(), settings))
    handler = grpc.stream_stream_rpc_method_handler(
        delta,
        request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
    )
    service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"DeltaAggregatedResources": handler}),)
    )
    chain, key = signer.issue_server_certificate(["localhost"])
    credentials = grpc.ssl_server_credentials([(key.encode(), chain.encode())])
    server.add_secure_port("127.0.0.1:15012", credentials)
    await server.start()
    print("ready", flush=True)  # noqa: T201
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
