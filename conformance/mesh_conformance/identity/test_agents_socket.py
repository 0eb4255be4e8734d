"""What a pod's agent gives on its socket: the pod's own identity, whatever name is asked for.

The asker is a container of the pod that runs as its proxy does and mounts the proxy's volume: whoever can ask at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import pytest
from cryptography import x509

from mesh_conformance.identity.wire import identity_of, published_roots
from pytest_mesh import stand_ins
from pytest_mesh.contracts import CONTROL_PORT, Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.x509_svid import uri_sans
from pytest_mesh.kube import KubeError
from pytest_mesh.last_words import last_words
from pytest_mesh.namespace import MeshNamespace

ASKER = "asker"
WORKLOAD, ROOTS = "default", "ROOTCA"
ASK_SECONDS, CALL_SECONDS = 3.0, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The socket of one pod's agent."""

    namespace: MeshNamespace
    pod: str
    socket: str

    def ask(self, name: str) -> Json:
        """Ask for one secret: ``secrets`` (name, chain, roots, key), or the stream's status, or why there was neither."""
        question = {"socket": self.socket, "names": [name], "timeout": ASK_SECONDS}
        path = "/v1/secrets"
        namespace = self.namespace
        try:
            return namespace.kube.proxy(namespace.name, self.pod, CONTROL_PORT, path, question, seconds=CALL_SECONDS)
        except (KubeError, Infrastructure) as error:
            words = last_words(namespace.kube, namespace.name, self.pod)
            raise Infrastructure(
                f"no answer from the workload {namespace.name}/{self.pod}: {error}; {words}"
            ) from error

    def others(self) -> dict[str, Json]:
        """Ask for what is not this pod's; its own name is answered before and after."""
        names = (identity_of(self.namespace, "vault"), "vault", f"kubernetes://{self.namespace.name}/vault", "another")
        told = {}
        for name in names:
            told[name] = self.ask(name)
            self.own()
        self.namespace.facts(others={name: _short(answer) for name, answer in told.items()})
        return told

    def own(self) -> list[str]:
        """Give the identities of the pod's own certificate."""
        answer = self.ask(WORKLOAD)
        assert answer["secrets"], f"the agent gives its own pod no certificate: {_short(answer)}"
        (secret,) = answer["secrets"]
        assert secret["key"], "the agent gives its own pod's proxy a certificate without a key"
        return _identities(secret)


@pytest.fixture
def agent(mesh: RunningMesh, bank: MeshNamespace) -> Agent:
    """The agent of a pod whose workload may ask it."""
    mesh.needs("sds_socket", "proxy_container")
    path = PurePosixPath(mesh.implementation.sds_socket)
    proxy = _proxy_of(bank.pod("tester"), mesh.implementation.proxy_container)
    volumes = {mount["mountPath"].rstrip("/"): mount["name"] for mount in proxy["volumeMounts"]}
    where = mesh.implementation.where("identity.sds_socket")
    assert str(path.parent) in volumes, f"{where}: the proxy mounts no volume at {path.parent}, only at {list(volumes)}"
    bank.deploy(_asker(bank, proxy, volumes[str(path.parent)], path))
    return Agent(namespace=bank, pod=bank.pod(ASKER)["metadata"]["name"], socket=str(path))


@pytest.mark.mesh_feature("SdsOwnIdentity")
def test_an_agent_gives_its_own_pods_identity_and_nobody_elses(bank: MeshNamespace, agent: Agent) -> None:
    own = identity_of(bank, ASKER)
    assert agent.own() == [own], f"the agent's certificate names {agent.own()}, expected {own}"
    roots = agent.ask(ROOTS)["secrets"]
    served = [one for secret in roots for one in x509.load_pem_x509_certificates(secret["roots"].encode())]
    assert set(served) == set(published_roots(bank)), "the agent's roots are not those that the mesh publishes"
    for name, answer in agent.others().items():
        foreign = [one for secret in answer["secrets"] for one in _identities(secret) if one != own]
        assert not foreign, f"asked for {name}, the agent of {ASKER} gave the identity {foreign[0]}"


@pytest.mark.mesh_feature("SdsKnownNames")
def test_an_agent_gives_no_key_under_a_name_that_is_not_its_pods(agent: Agent) -> None:
    for name, answer in agent.others().items():
        assert not any(secret["key"] for secret in answer["secrets"]), f"asked for {name}, the agent gave a private key"


def _identities(secret: Json) -> list[str]:
    if not secret["chain"]:
        return []
    return uri_sans(x509.load_pem_x509_certificates(secret["chain"].encode())[0])


def _short(answer: Json) -> str:
    given = [f"{one['name']}: {', '.join(_identities(one)) or 'no certificate'}" for one in answer["secrets"]]
    status = f"gRPC status {answer['status']} {answer['message']}" if answer["status"] else ""
    return "; ".join(given) or status or answer["failure"]


def _proxy_of(pod: Json, container: str) -> Json:
    spec = pod["spec"]
    containers = {one["name"]: one for one in (*(spec.get("initContainers") or ()), *spec["containers"])}
    assert container in containers, f"{pod['metadata']['name']} has no container {container}, only {list(containers)}"
    found: Json = containers[container]
    return found


def _asker(namespace: MeshNamespace, proxy: Json, volume: str, path: PurePosixPath) -> list[Json]:
    """Give a workload that runs as the proxy's user and has the volume of the agent's socket."""
    served = stand_ins.deployment(
        ASKER,
        app=ASKER,
        version="v1",
        account=ASKER,
        replicas=1,
        ports=(stand_ins.HTTP_PORT,),
        labels={},
        annotations=stand_ins.pod_annotations(namespace.implementation),
    )
    spec, neighbour = served["spec"]["template"]["spec"], namespace.pod("vault")["spec"]
    (container,) = spec["containers"]
    # The image as this cluster has it, which may come from a registry of its own.
    container["image"] = next(one["image"] for one in neighbour["containers"] if one["name"] == container["name"])
    spec["imagePullSecrets"] = neighbour.get("imagePullSecrets") or []
    user = proxy.get("securityContext") or {}
    container["securityContext"] = {key: user[key] for key in ("runAsUser", "runAsGroup") if key in user}
    container["volumeMounts"] = [{"name": volume, "mountPath": str(path.parent)}]
    spec["volumes"] = [{"name": volume, "emptyDir": {}}]
    return [stand_ins.service_account(ASKER), served]
