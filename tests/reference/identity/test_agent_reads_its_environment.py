"""What the injector says, read by the agent; and the bootstrap that follows from it."""

from __future__ import annotations

import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mesh_reference.agent import bootstrap, environment

POD = {
    "POD_NAME": "reviews-1",
    "POD_NAMESPACE": "shop",
    "INSTANCE_IP": "10.244.0.7",
    "SERVICE_ACCOUNT": "reviews",
    "TRUST_DOMAIN": "cluster.local",
    "CA_ADDR": "istiod.istio-system.svc:15012",
    "ISTIO_META_CLUSTER_ID": "Kubernetes",
    "ISTIO_META_WORKLOAD_NAME": "reviews",
    "ISTIO_META_INTERCEPTION_MODE": "REDIRECT",
    "ISTIO_META_POD_PORTS": '[{"containerPort":80}]',
}


def test_the_injectors_variables_are_enough():
    settings = environment.read(POD, domain="shop.svc.example.org", labels='app="reviews"\nversion="v1"\n')
    assert settings.spiffe_id == "spiffe://cluster.local/ns/shop/sa/reviews"
    assert settings.domain == "example.org"
    assert settings.labels == {"app": "reviews", "version": "v1"}
    assert settings.svid_ttl_seconds == 86400
    assert settings.xds_address == "istiod.istio-system.svc:15012"


@pytest.mark.parametrize("name", ["POD_NAME", "POD_NAMESPACE", "INSTANCE_IP"])
def test_a_missing_variable_is_named(name):
    with pytest.raises(environment.AgentError, match=name):
        environment.read({key: value for key, value in POD.items() if key != name})


def test_proxy_metadata_sets_the_lifetime_unless_the_environment_does():
    config = json.dumps({"proxyMetadata": {"SECRET_TTL": "5m"}})
    assert environment.read({**POD, "PROXY_CONFIG": config}).svid_ttl_seconds == 300
    assert environment.read({**POD, "PROXY_CONFIG": config, "SECRET_TTL": "1h"}).svid_ttl_seconds == 3600


def test_the_pods_annotation_overrides_the_proxy_config():
    text = json.dumps("concurrency: 3\nproxyMetadata:\n  SECRET_TTL: 30s\n")
    settings = environment.read(
        {**POD, "PROXY_CONFIG": '{"concurrency": 2}'}, annotations=f"proxy.istio.io/config={text}\n"
    )
    assert settings.concurrency == 3
    assert settings.svid_ttl_seconds == 30


@pytest.mark.parametrize(
    ("said", "curve", "rsa_bits"),
    [
        ({}, "P256", 0),
        ({"ECC_SIGNATURE_ALGORITHM": "ECDSA"}, "P256", 0),
        ({"ECC_SIGNATURE_ALGORITHM": "ECDSA", "ECC_CURVE": "P384"}, "P384", 0),
        ({"ECC_CURVE": "P384"}, "P384", 0),
        ({"WORKLOAD_RSA_KEY_SIZE": "2048"}, "", 2048),
        ({"WORKLOAD_RSA_KEY_SIZE": "3072"}, "", 3072),
        ({"WORKLOAD_RSA_KEY_SIZE": "4096", "ECC_SIGNATURE_ALGORITHM": "ECDSA"}, "P256", 0),
        ({"PROXY_CONFIG": '{"proxyMetadata": {"ECC_CURVE": "P384"}}'}, "P384", 0),
    ],
)
def test_the_environment_says_of_what_kind_the_keys_are(said, curve, rsa_bits):
    key = environment.read({**POD, **said}).key_kind.fresh()

    if rsa_bits:
        assert isinstance(key, rsa.RSAPrivateKey)
        assert key.key_size == rsa_bits
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert key.curve.name == {"P256": "secp256r1", "P384": "secp384r1"}[curve]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"ECC_SIGNATURE_ALGORITHM": "ED25519"}, "ECC_SIGNATURE_ALGORITHM: 'ED25519' is not supported: use ECDSA"),
        ({"ECC_CURVE": "P521"}, "ECC_CURVE: 'P521' is not supported: use P256 or P384"),
        ({"WORKLOAD_RSA_KEY_SIZE": "1024"}, "WORKLOAD_RSA_KEY_SIZE: '1024' is not supported: use 2048 to 8192"),
        ({"WORKLOAD_RSA_KEY_SIZE": "much"}, "WORKLOAD_RSA_KEY_SIZE: 'much' is not supported: use 2048 to 8192"),
        ({"WORKLOAD_RSA_KEY_SIZE": "2048", "ECC_CURVE": "P256"}, "say two kinds of key: leave one out"),
    ],
)
def test_a_kind_of_key_that_is_not_made_stops_the_agent(said, told):
    with pytest.raises(environment.AgentError, match=re.escape(told)):
        environment.read({**POD, **said})


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h0m0s", 86400), ("1h30m", 5400), ("300ms", 0.3), ("5s", 5), ("1.5h", 5400)]
)
def test_durations_are_gos(text, seconds):
    assert environment.seconds(text, "SECRET_TTL") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "-5s", "5 s", "0s", "1h 30m", "5sx"])
def test_anything_else_is_an_error_that_names_the_setting(text):
    with pytest.raises(environment.AgentError, match="SECRET_TTL"):
        environment.seconds(text, "SECRET_TTL")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROXY_CONFIG", "{"),
        ("PROXY_CONFIG", "[]"),
        ("SECRET_GRACE_PERIOD_RATIO", "x"),
        ("SECRET_GRACE_PERIOD_RATIO", "2"),
    ],
)
def test_a_malformed_variable_is_named(name, value):
    with pytest.raises(environment.AgentError, match=name):
        environment.read({**POD, name: value})


def test_the_node_says_who_the_proxy_is():
    settings = environment.read(POD, domain="shop.svc.cluster.local", labels='istio-locality="eu.a.1"\napp="reviews"')
    node = bootstrap.node(settings)
    assert node["id"] == "sidecar~10.244.0.7~reviews-1.shop~shop.svc.cluster.local"
    assert node["cluster"] == "reviews.shop"
    assert node["locality"] == {"region": "eu", "zone": "a", "sub_zone": "1"}
    metadata = node["metadata"]
    assert metadata["NAMESPACE"] == "shop"
    assert metadata["SERVICE_ACCOUNT"] == "reviews"
    assert metadata["LABELS"]["app"] == "reviews"
    assert metadata["POD_PORTS"] == '[{"containerPort":80}]'
    assert metadata["INTERCEPTION_MODE"] == "REDIRECT"


@pytest.mark.parametrize(("variable", "form"), [("true", "DELTA_GRPC"), ("false", "GRPC")])
def test_delta_is_the_rule_and_can_be_turned_off(variable, form):
    settings = environment.read({**POD, "ISTIO_DELTA_XDS": variable})
    assert bootstrap.bootstrap(settings)["dynamic_resources"]["ads_config"]["api_type"] == form


def test_a_gateways_agent_says_that_it_is_a_router():
    assert bootstrap.node(environment.read(POD, role=environment.ROUTER))["id"].startswith("router~")


@pytest.mark.parametrize(
    ("config", "annotation", "host", "port"),
    [
        ("{}", "", "0.0.0.0", 15020),
        ('{"statusPort": 15030}', "", "0.0.0.0", 15030),
        ('{"statusPort": 15030}', "15099", "0.0.0.0", 15099),
        ("{}", "0", "127.0.0.1", 15020),
    ],
)
def test_the_pods_annotation_says_where_status_is_shown(config, annotation, host, port):  # IM12
    annotations = f'status.sidecar.istio.io/port="{annotation}"' if annotation else ""
    settings = environment.read({**POD, "PROXY_CONFIG": config}, annotations=annotations)
    assert (settings.status_host, settings.status_port) == (host, port)


def test_a_status_port_that_is_none_is_named():
    with pytest.raises(environment.AgentError, match="port: 'x' is not a port"):
        environment.read(POD, annotations='status.sidecar.istio.io/port="x"')
