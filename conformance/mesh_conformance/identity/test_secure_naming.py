"""A client believes a server by its certificate's name alone: one that holds another account's certificate gets nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mesh_conformance.identity.minted import signing_authority
from mesh_conformance.identity.wire import identity_of
from mesh_conformance.wording import told
from pytest_mesh import stand_ins
from pytest_mesh.contracts import Json
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.minting import Authority, mint
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

PORT = 9000
SPEAKS_MUTUAL_TLS = {"security.istio.io/tlsMode": "istio"}
"""Label by which a pod says that it takes the mesh's mutual TLS; an injected one has it from the injector."""
CERTIFICATE = "MESH_TLS_PEM"


@pytest.mark.mesh_feature("PeerServerIdentity")
def test_a_server_with_the_certificate_of_another_account_gets_no_request(
    mesh: RunningMesh, bank: MeshNamespace, tester: Client
) -> None:
    authority = signing_authority(mesh, bank)
    for name, shows in (("honest", "honest"), ("impostor", "vault")):
        bank.deploy(_naked_server(bank, authority, name, identity_of(bank, shows)))

    honest = tester.get(f"tcp://honest:{PORT}")
    assert honest.ok, f"a server without a proxy that has its own account's certificate gave {told(honest)}"
    impostor = tester.get(f"tcp://impostor:{PORT}")
    bank.facts(impostor=told(impostor))
    assert impostor.echo is None, (
        f"pod {impostor.pod} runs as account impostor and showed the certificate of account vault: "
        "the client sent its request all the same"
    )


def _naked_server(namespace: MeshNamespace, authority: Authority, name: str, uri: str) -> list[Json]:
    """Give a server that has no proxy and speaks TLS by a certificate of the mesh's own authority."""
    svid = mint(authority, [uri], now=datetime.now(UTC))
    labels = {**namespace.implementation.pod_opt_out_labels, **SPEAKS_MUTUAL_TLS}
    served = stand_ins.deployment(
        name, app=name, version="v1", account=name, replicas=1, ports=(f"tls:{PORT}",), labels=labels, annotations={}
    )
    spec, neighbour = served["spec"]["template"]["spec"], namespace.pod("vault")["spec"]
    (container,) = spec["containers"]
    # The image as this cluster has it, which may come from a registry of its own.
    container["image"] = next(one["image"] for one in neighbour["containers"] if one["name"] == container["name"])
    spec["imagePullSecrets"] = neighbour.get("imagePullSecrets") or []
    for variable in container["env"]:
        if variable["name"] == CERTIFICATE:
            variable["value"] = svid.chain + svid.key
    return [stand_ins.service_account(name), stand_ins.service(name, {PORT: PORT}, {PORT: "tcp"}), served]
