"""Each annotation that is checked: a value that passes and one that is refused (row §2.4.6)."""

from __future__ import annotations

import pytest

from mesh_reference.injection.annotations import AnnotationError, check_annotations

TRAFFIC = "traffic.sidecar.istio.io/"
READINESS = "readiness.status.sidecar.istio.io/"
CASES = [
    ("sidecar.istio.io/interceptionMode", "NONE", "SOMETIMES"),
    ("sidecar.istio.io/interceptionMode", "TPROXY", "tproxy"),
    ("status.sidecar.istio.io/port", "15020", "70000"),
    (f"{READINESS}initialDelaySeconds", "0", "-1"),
    (f"{READINESS}periodSeconds", "2", "2s"),
    (f"{READINESS}failureThreshold", "30", str(2**32)),
    (f"{TRAFFIC}includeOutboundIPRanges", "10.0.0.0/8,fd00::/8", "10.0.0.0"),
    (f"{TRAFFIC}includeOutboundIPRanges", "*", "10.0.0.0/33"),
    (f"{TRAFFIC}excludeOutboundIPRanges", "10.1.2.3/32", "*"),
    (f"{TRAFFIC}includeInboundPorts", "*", "80;81"),
    (f"{TRAFFIC}excludeInboundPorts", "80,81", "*"),
    (f"{TRAFFIC}includeOutboundPorts", "443", "https"),
    (f"{TRAFFIC}excludeOutboundPorts", "25", "25,,26"),
    (f"{TRAFFIC}excludeInterfaces", "eth1,eth2", "a-name-that-is-too-long"),
    (f"{TRAFFIC}kubevirtInterfaces", "net1", "net 1"),
    ("istio.io/reroute-virtual-interfaces", "net1", ","),
    ("prometheus.istio.io/merge-metrics", "false", "no"),
    ("proxy.istio.io/config", "concurrency: 2", "concurrency: two"),
    ("proxy.istio.io/config", "proxyMetadata: {A: b}", "proxyMetaData: {A: b}"),
    ("proxy.istio.io/config", "", "a: ["),
    (
        "proxy.istio.io/config",
        'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}',
        "proxyMetadata: ISTIO_META_DNS_CAPTURE",
    ),
    ("sidecar.istio.io/proxyCPU", "100m", "much"),
    ("sidecar.istio.io/proxyMemory", "128Mi", "128MiB"),
    ("sidecar.istio.io/proxyCPULimit", "1.5", "1,5"),
    ("sidecar.istio.io/proxyMemoryLimit", "1e9", "1 Gi"),
    ("sidecar.istio.io/nativeSidecar", "true", "always"),
    ("sidecar.istio.io/rewriteAppHTTPProbers", "false", "never"),
    ("sidecar.istio.io/logLevel", "upstream:debug", "de bug"),
    ("inject.istio.io/templates", "sidecar", "sidecar,gateway"),
]


@pytest.mark.parametrize(("name", "good", "bad"), CASES)
def test_a_value_in_range_passes_and_its_twin_is_refused_by_name(name: str, good: str, bad: str) -> None:
    check_annotations({name: good})
    with pytest.raises(AnnotationError) as caught:
        check_annotations({name: bad})
    assert f"invalid value '{bad}' for annotation '{name}'" in str(caught.value)


def test_all_bad_values_are_told_at_once() -> None:
    with pytest.raises(AnnotationError) as caught:
        check_annotations({f"{TRAFFIC}excludeInboundPorts": "x", "sidecar.istio.io/proxyCPU": "y"})
    assert "excludeInboundPorts" in str(caught.value)
    assert "proxyCPU" in str(caught.value)


def test_what_this_mesh_cannot_do_is_refused_and_not_ignored() -> None:
    with pytest.raises(AnnotationError, match="does not support it"):
        check_annotations({"sidecar.istio.io/bootstrapOverride": "mine"})


def test_annotations_of_others_are_nobodys_business() -> None:
    check_annotations({"example.com/anything": "at all", "sidecar.istio.io/inject": "true"})
