"""Which AuthorizationPolicies decide about a workload, and where their filters stand."""

from __future__ import annotations

import pytest
from memory_kube import endpoint_slice, pod, resource, service
from mesh_of import CLIENT, configuration, index_of, listener

from mesh_reference.errors import InvalidConfig
from mesh_reference.model.authorization_policies import compose, read_authorization_policy
from mesh_reference.settings import Settings
from mesh_reference.xds.names import VIRTUAL_INBOUND

HTTP, NETWORK = "envoy.filters.http.rbac", "envoy.filters.network.rbac"


def policy(name="p", namespace="shop", **spec):
    return resource("AuthorizationPolicy", name, spec, namespace)


def mesh(*policies, settings=None):
    return configuration(
        service("tester", "10.96.0.9"),
        endpoint_slice("tester", [CLIENT.address]),
        pod("tester-1", CLIENT.address, {"app": "t"}, "tester"),
        *policies,
        settings=settings,
    )


def deciding(*policies, labels=None, namespace="shop"):
    found = compose(map(read_authorization_policy, policies), namespace, labels or {}, "istio-system")
    return [item.meta.name for item in (*found.deny, *found.allow)]


def filters(config):
    """Give (is HTTP, names of the filters before the last) of each inbound chain."""
    found = []
    for chain in listener(config, VIRTUAL_INBOUND)["filterChains"]:
        last = chain["filters"][-1]
        http = last["typedConfig"].get("httpFilters")
        before = [one["name"] for one in http if "rbac" in one["name"]] if http else [
            one["name"] for one in chain["filters"][:-1]
        ]  # fmt: skip
        found.append((chain["name"], bool(http), before))
    return found


def test_a_policy_decides_in_its_namespace_and_one_of_the_root_namespace_everywhere():
    here, there, everywhere = policy("a"), policy("b", "bank"), policy("c", "istio-system")

    assert deciding(here, there, everywhere) == ["c", "a"]


def test_a_selector_of_the_root_namespace_reaches_into_the_others():
    chosen = policy("c", "istio-system", selector={"matchLabels": {"app": "t"}})

    assert deciding(chosen, labels={"app": "t"}) == ["c"]
    assert deciding(chosen, labels={"app": "u"}) == []


def test_a_policy_that_names_targets_is_no_sidecars():
    assert deciding(policy("a", targetRefs=[{"kind": "Service", "group": "", "name": "x"}])) == []


def test_every_chain_but_the_black_hole_begins_with_the_policys_filters():
    found = filters(mesh(policy(rules=[{}]), policy("d", action="DENY", rules=[{}])))

    assert {(http, *before) for name, http, before in found if name != "virtualInbound-blackhole"} == {
        (True, HTTP, HTTP),
        (False, NETWORK, NETWORK),
    }


def test_without_a_policy_nothing_stands_before_the_application():
    assert {tuple(before) for _, _, before in filters(mesh())} == {()}


def test_audit_is_not_served_and_told():
    index = index_of(policy(action="AUDIT", rules=[{}]))

    [(problem,)] = index.problems.values()
    assert not problem.served
    assert "AUDIT is not supported" in problem.text


def test_custom_refuses_everything_and_is_told():
    index = index_of(policy(action="CUSTOM", rules=[{}], provider={"name": "x"}))

    [(problem,)] = index.problems.values()
    assert problem.served
    assert "every request to these workloads is refused" in problem.text


@pytest.mark.parametrize(("action", "said"), [("ALLOW", "is never met"), ("DENY", "counts as met")])
def test_an_attribute_that_nobody_knows_is_told(action, said):
    rule = {"from": [{"source": {"requestPrincipals": ["*"]}}]}
    found = read_authorization_policy(policy(action=action, rules=[rule]))

    assert [said in warning and "request.auth.principal" in warning for warning in found.warnings] == [True]


def test_an_unknown_action_is_invalid():
    with pytest.raises(InvalidConfig):
        read_authorization_policy(policy(action="PERHAPS", rules=[{}]))


def test_peers_of_an_alias_are_admitted_and_servers_of_an_alias_recognised():
    config = mesh(settings=Settings(trust_domain="new.example", trust_domain_aliases=("old.example",)))

    text = str(listener(config, VIRTUAL_INBOUND))
    assert "spiffe://new.example/" in text
    assert "spiffe://old.example/" in text
