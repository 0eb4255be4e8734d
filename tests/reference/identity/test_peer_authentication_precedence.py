"""Which PeerAuthentication decides: mesh < namespace < workload < port, the oldest of each scope, UNSET inherits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.model.peer_authentications import MtlsMode, compose, deciding, read_peer_authentication

ROOT, LABELS = "istio-system", {"app": "till", "version": "v1"}
STRICT, PERMISSIVE, DISABLE, UNSET = MtlsMode.STRICT, MtlsMode.PERMISSIVE, MtlsMode.DISABLE, MtlsMode.UNSET


def policy(mode, namespace="shop", *, name="a", age="2026-01-01T00:00:00Z", ports=None, selector=None):
    spec = {"mtls": {"mode": mode}}
    if selector is not None:
        spec["selector"] = {"matchLabels": selector}
    if ports:
        spec["portLevelMtls"] = {str(port): {"mode": one} for port, one in ports.items()}
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": age}
    kind = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication"}
    return read_peer_authentication({**kind, "metadata": metadata, "spec": spec})


TILL = {"app": "till"}
CASES = {
    "nothing is there": ([], PERMISSIVE),
    "the mesh's": ([policy("STRICT", ROOT)], STRICT),
    "the namespace's beats the mesh's": ([policy("STRICT", ROOT), policy("DISABLE")], DISABLE),
    "the workload's beats the namespace's": ([policy("DISABLE"), policy("STRICT", name="w", selector=TILL)], STRICT),
    "another workload's is no matter": ([policy("STRICT", selector={"app": "safe"})], PERMISSIVE),
    "every label of a selector counts": ([policy("STRICT", selector={**TILL, "version": "v2"})], PERMISSIVE),
    "another namespace's is no matter": ([policy("STRICT", "bank")], PERMISSIVE),
    "a selector in the root namespace is ignored": ([policy("STRICT", ROOT, selector=TILL)], PERMISSIVE),
    "UNSET inherits from the namespace": ([policy("STRICT"), policy("UNSET", name="w", selector=TILL)], STRICT),
    "UNSET inherits from the mesh": ([policy("STRICT", ROOT), policy("UNSET")], STRICT),
    "the older of two": ([policy("STRICT", name="b"), policy("DISABLE", age="2026-01-02T00:00:00Z")], STRICT),
    "of one age, by name": ([policy("STRICT", name="b"), policy("DISABLE", name="a")], DISABLE),
    "the younger is no matter even where the older is UNSET": (
        [policy("UNSET", age="2025-01-01T00:00:00Z"), policy("STRICT", name="b"), policy("DISABLE", ROOT)],
        DISABLE,
    ),
    "the older of two of a workload": (
        [policy("DISABLE", name="y", age="2026-02-01T00:00:00Z", selector=TILL), policy("STRICT", selector=LABELS)],
        STRICT,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_policy_decides(case):
    policies, wanted = CASES[case]

    assert compose(policies, "shop", LABELS, ROOT).for_port(80) is wanted


def test_a_port_has_a_mode_of_its_own_and_unset_inherits():
    own = policy("STRICT", selector=TILL, ports={8080: "DISABLE", 9090: "UNSET"})

    found = compose([policy("PERMISSIVE"), own], "shop", LABELS, ROOT)

    assert [found.for_port(port) for port in (80, 8080, 9090)] == [STRICT, DISABLE, STRICT]


drawn = st.builds(
    policy,
    st.sampled_from(list(MtlsMode)),
    st.sampled_from([ROOT, "shop", "bank"]),
    name=st.sampled_from("abc"),
    age=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
    selector=st.sampled_from([None, TILL, {"app": "safe"}]),
)


@given(
    st.lists(drawn, max_size=6, unique_by=lambda one: (one.meta.namespace, one.meta.name)),
    st.randoms(use_true_random=False),
)
def test_the_order_of_policies_is_no_matter_and_whoever_is_named_decides(policies, random):
    mixed = list(policies)
    random.shuffle(mixed)
    modes = [deciding(order, "shop", LABELS, ROOT, 80) for order in (policies, mixed)]

    assert modes[0][0] is modes[1][0] is compose(mixed, "shop", LABELS, ROOT).for_port(80)
    assert modes[0][0] is not UNSET
    assert modes[0][1] is None or modes[0][1].mode is modes[0][0]
