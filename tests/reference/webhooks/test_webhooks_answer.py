"""The webhooks over HTTPS on a loopback socket: AdmissionReview in, patch, refusal, warning or 4xx out."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jsonpatch
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_reference.injection.injector import inject
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.model.schema.kinds import KINDS
from mesh_reference.model.schema.types import Kind
from mesh_reference.webhooks.server import application

Json = dict[str, Any]
POD: Json = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "example/web"}]}}
VIRTUAL_SERVICE: Json = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews", "namespace": "shop"},
    "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}, "weight": 80}]}]},
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("webhooks")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC) - timedelta(minutes=1)
    made = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


class Answers:
    """What came back from one POST."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text

    @property
    def response(self) -> Json:
        assert self.status == 200, self.text
        document = json.loads(self.text)
        assert (document["apiVersion"], document["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
        found: Json = document["response"]
        return found


Post = Callable[..., Awaitable[Answers]]


@pytest.fixture
def served(certificate: tuple[Path, Path]) -> Callable[..., Any]:
    """Runs a coroutine function with a ``post(path, body)`` that speaks to a real server over TLS."""

    def run(
        use: Callable[[Post], Awaitable[Any]], settings: Callable[[], InjectionSettings] = InjectionSettings
    ) -> Any:
        async def main() -> Any:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
            runner = web.AppRunner(application(settings))
            await runner.setup()
            site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
            await site.start()
            port = runner.addresses[0][1]
            trust = ssl.create_default_context(cafile=str(certificate[0]))
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:

                async def post(path: str, body: Any, content_type: str = "application/json") -> Answers:
                    data = body if isinstance(body, bytes) else json.dumps(body).encode()
                    headers = {"Content-Type": content_type}
                    async with session.post(f"https://localhost:{port}{path}", data=data, headers=headers) as got:
                        return Answers(got.status, await got.text())

                try:
                    return await use(post)
                finally:
                    await runner.cleanup()

        return asyncio.run(main())

    return run


def asked(value: Json, *, operation: str = "CREATE", namespace: str = "shop", **more: Any) -> Json:
    request = {"uid": "u-1", "operation": operation, "namespace": namespace, "object": value, **more}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def test_a_pod_comes_back_with_the_patch_that_injects_it(served: Any) -> None:  # IM1
    response = served(lambda post: post("/inject", asked(POD))).response
    assert (response["uid"], response["allowed"], response["patchType"]) == ("u-1", True, "JSONPatch")
    patched = jsonpatch.apply_patch(POD, json.loads(base64.b64decode(response["patch"])))
    assert patched == inject(POD, "shop", InjectionSettings()).pod


def test_an_injected_pod_gets_no_patch(served: Any) -> None:  # IR1
    again = inject(POD, "shop", InjectionSettings()).pod
    response = served(lambda post: post("/inject", asked(again))).response
    assert response == {"uid": "u-1", "allowed": True}


def test_the_path_tells_cluster_and_network(served: Any) -> None:  # IM4
    response = served(lambda post: post("/inject/cluster/c1/net/n1", asked(POD))).response
    patched = jsonpatch.apply_patch(POD, json.loads(base64.b64decode(response["patch"])))
    env = {entry["name"]: entry.get("value") for entry in patched["spec"]["initContainers"][1]["env"]}
    assert (env["ISTIO_META_CLUSTER_ID"], env["ISTIO_META_NETWORK"]) == ("c1", "n1")


def test_the_settings_are_asked_for_at_each_pod(served: Any) -> None:
    now = [InjectionSettings()]

    async def both(post: Post) -> tuple[Answers, Answers]:
        first = await post("/inject", asked(POD))
        now[0] = replace(now[0], policy="disabled")
        return first, await post("/inject", asked(POD))

    first, second = served(both, lambda: now[0])
    assert "patch" in first.response
    assert "patch" not in second.response


def test_a_pod_that_opts_out_passes_unpatched(served: Any) -> None:  # IB3
    pod = {**POD, "metadata": {"labels": {"sidecar.istio.io/inject": "false"}}}
    assert served(lambda post: post("/inject", asked(pod))).response == {"uid": "u-1", "allowed": True}


def test_a_word_that_is_neither_true_nor_false_is_warned_of(served: Any) -> None:  # IB8
    pod = {**POD, "metadata": {"labels": {"sidecar.istio.io/inject": "perhaps"}}}
    response = served(lambda post: post("/inject", asked(pod))).response
    assert response["allowed"]
    assert '"perhaps"' in response["warnings"][0]


def test_a_pod_with_a_bad_annotation_is_refused_by_its_name(served: Any) -> None:  # IV1
    pod = {**POD, "metadata": {"annotations": {"sidecar.istio.io/proxyCPU": "lots"}}}
    response = served(lambda post: post("/inject", asked(pod))).response
    assert response["allowed"] is False
    assert response["status"]["message"].startswith("invalid value 'lots' for annotation 'sidecar.istio.io/proxyCPU'")


def test_a_pod_that_is_none_is_refused_with_the_field(served: Any) -> None:
    response = served(lambda post: post("/inject", asked({"spec": {"containers": [{"image": "x"}]}}))).response
    assert response["allowed"] is False
    assert response["status"]["message"] == "spec.containers[0].name is missing"


def test_a_sound_resource_is_admitted(served: Any) -> None:
    assert served(lambda post: post("/validate", asked(VIRTUAL_SERVICE))).response == {"uid": "u-1", "allowed": True}


def test_a_refusal_names_field_path_and_rule(served: Any) -> None:
    bad = json.loads(json.dumps(VIRTUAL_SERVICE))
    bad["spec"]["http"][0]["route"][0]["weight"] = -1
    response = served(lambda post: post("/validate", asked(bad))).response
    assert response == {
        "uid": "u-1",
        "allowed": False,
        "status": {
            "status": "Failure",
            "reason": "BadRequest",
            "code": 400,
            "message": "configuration is invalid: spec.http[0].route[0].weight: weight -1 < 0 [V12]",
        },
    }


def test_several_errors_are_told_at_once(served: Any) -> None:
    bad = json.loads(json.dumps(VIRTUAL_SERVICE))
    bad["spec"]["hosts"] = ["*", "a b"]
    message = served(lambda post: post("/validate", asked(bad))).response["status"]["message"]
    assert message.splitlines()[0] == "configuration is invalid: 2 errors occurred:"
    assert [line.partition(": ")[0] for line in message.splitlines()[1:]] == ["\t* spec.hosts[0]", "\t* spec.hosts[1]"]


def test_a_warning_is_told_and_refuses_nothing(served: Any) -> None:
    value = json.loads(json.dumps(VIRTUAL_SERVICE))
    value["spec"]["http"] *= 2
    response = served(lambda post: post("/validate", asked(value))).response
    assert response["allowed"]
    assert response["warnings"] == [
        "spec.http[1]: virtualService rule #1 not used (only the last rule can have no matches) [IST0130]"
    ]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.acted_on], ids=lambda kind: kind.kind)
def test_a_kind_that_the_mesh_does_not_act_on_is_stored_with_a_warning(served: Any, kind: Kind) -> None:
    specs: dict[str, Json] = {
        "ServiceEntry": {"hosts": ["a.example.com"]},
        "WorkloadEntry": {"address": "10.0.0.1"},
        "Sidecar": {"egress": [{"hosts": ["./*"]}]},
        "Gateway": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]},
    }
    resource = {
        "apiVersion": f"{kind.group}/v1",
        "kind": kind.kind,
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": specs.get(kind.kind, {}),
    }
    answer = served(lambda post: post("/validate", asked(resource))).response
    assert answer["allowed"] is True
    assert answer["warnings"] == [f"kind: {kind.kind} is accepted and stored; this mesh does not act on it [inactive]"]


def test_an_update_is_judged_and_a_deletion_is_not(served: Any) -> None:
    bad = {**VIRTUAL_SERVICE, "spec": {}}
    update = served(lambda post: post("/validate", asked(bad, operation="UPDATE"))).response
    assert update["allowed"] is False
    gone = asked({}, operation="DELETE", oldObject=bad)
    gone["request"]["object"] = None
    assert served(lambda post: post("/validate", gone)).response["allowed"]


@pytest.mark.parametrize("path", ["/inject", "/validate"])
@pytest.mark.parametrize(
    ("body", "content_type", "status", "message"),
    [
        (b"", "application/json", 400, "no body found"),
        (b"{}", "text/yaml", 415, "invalid Content-Type, want `application/json`"),
        (b"{", "application/json", 400, "could not decode body: "),
        (b"\xff", "application/json", 400, "could not decode body: "),
        (b"[" * 100_000, "application/json", 400, "could not decode body: "),
        (b"[]", "application/json", 400, "want an AdmissionReview"),
        ({"kind": "Pod"}, "application/json", 400, "want an AdmissionReview"),
        ({**asked(POD), "apiVersion": "admission.k8s.io/v1beta1"}, "application/json", 400, "v1beta1"),
        ({**asked(POD), "request": None}, "application/json", 400, "no request with a uid"),
        (asked(POD, uid=""), "application/json", 400, "no request with a uid"),
        (asked([]), "application/json", 400, "request.object is not an object"),  # type: ignore[arg-type]
    ],
)
def test_a_body_that_is_no_admission_review_gets_a_clear_4xx(  # IM1
    served: Any, path: str, body: Any, content_type: str, status: int, message: str
) -> None:
    answers = served(lambda post: post(path, body, content_type))
    assert answers.status == status
    assert message in answers.text
