"""What the node makes of a Pod's spec: identity, environment, resolver, image, place, status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.clusters.local import placing
from pytest_mesh.clusters.local.node import environments, images, pod_specs, roots, statuses
from pytest_mesh.clusters.local.node.blueprints import DEFAULT_CAPABILITIES
from pytest_mesh.clusters.local.node.environments import ConfigError, expand
from pytest_mesh.clusters.local.node.statuses import ContainerState, Facts

AVAILABLE = DEFAULT_CAPABILITIES | {"NET_ADMIN"}


def pod(**spec):
    metadata = {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [], **spec}}


def identity(own=None, shared=None):
    return pod_specs.identity({"securityContext": own or {}}, pod(securityContext=shared or {}), AVAILABLE)


def test_a_containers_own_security_context_wins_over_the_pods():
    found = identity({"runAsUser": 1337}, {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]})

    assert (found.uid, found.gid, found.groups) == (1337, 2, (4, 3))


def test_capabilities_are_dropped_before_others_are_added():
    only = identity({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}})
    less = identity({"capabilities": {"drop": ["KILL", "CAP_CHOWN"]}})

    assert only.capabilities == ("NET_ADMIN",)
    assert set(less.capabilities) == DEFAULT_CAPABILITIES - {"KILL", "CHOWN"}


def test_a_capability_that_the_node_lacks_or_nobody_knows_is_an_error():
    with pytest.raises(ConfigError, match="capability SYS_TIME is not to be had"):
        identity({"capabilities": {"add": ["SYS_TIME"]}})
    with pytest.raises(ConfigError, match="unknown capability TELEPORT"):
        identity({"capabilities": {"add": ["TELEPORT"]}})


def test_run_as_non_root_refuses_root_and_lets_others_run():
    with pytest.raises(ConfigError, match="runAsNonRoot"):
        identity({"runAsNonRoot": True})
    assert identity({"runAsNonRoot": True, "runAsUser": 5}).uid == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(MISSING)", "$(MISSING)"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("$", "$"),
        ("$$", "$"),
    ],
)
def test_variables_are_expanded_as_kubernetes_does(text, expected):
    assert expand(text, {"A": "1", "B": "2"}) == expected


@given(st.text(alphabet="ab$() "))
def test_expansion_without_variables_only_halves_dollars(text):
    assert expand(text.replace("$", "$$"), {}) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("1Gi", "1073741824"), ("1Ki", "1024"), ("1e3", "1000"), ("2k", "2000"), ("1E", "1e18")],
)
def test_quantities_are_read(text, value):
    assert environments.quantity(text) == environments.Decimal(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1X", "1ki"])
def test_what_is_no_quantity_is_an_error(text):
    with pytest.raises(ValueError, match="is no quantity"):
        environments.quantity(text)


def test_a_service_is_announced_in_the_environment():
    found = environments.service_environment("my-svc", "10.96.1.2", [{"name": "http", "port": 80}, {"port": 443}])

    assert found["MY_SVC_SERVICE_HOST"] == "10.96.1.2"
    assert found["MY_SVC_SERVICE_PORT"] == found["MY_SVC_SERVICE_PORT_HTTP"] == "80"
    assert found["MY_SVC_PORT_443_TCP"] == "tcp://10.96.1.2:443"


def test_the_resolver_searches_the_pods_namespace_first():
    lines = pod_specs.resolver_file(pod()).splitlines()

    assert lines == [
        "nameserver 10.96.0.10",
        "search shop.svc.cluster.local svc.cluster.local cluster.local",
        "options ndots:5",
    ]


def test_dns_policy_none_takes_only_what_dns_config_says():
    config = {"nameservers": ["1.2.3.4"], "searches": ["here"], "options": [{"name": "ndots", "value": "1"}]}

    text = pod_specs.resolver_file(pod(dnsPolicy="None", dnsConfig=config))

    assert text == "nameserver 1.2.3.4\nsearch here\noptions ndots:1\n"


TABLE = {"registry/app": {}, "other:1": {}, "local:5000/app": {}}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("registry/app", "registry/app"),
        ("registry/app:1.2", "registry/app"),
        ("registry/app:1.2@sha256:00", "registry/app"),
        ("other:1", "other:1"),
        ("other:2", None),
        ("local:5000/app", "local:5000/app"),
        ("local:5000/app:3", "local:5000/app"),
        ("local", None),
    ],
)
def test_an_image_is_found_by_name_with_or_without_its_tag(name, key):
    assert images.find(TABLE, name) == key


@pytest.mark.parametrize(
    ("spec", "place", "words"),
    [
        ({}, {}, ""),
        ({"nodeSelector": {"a": "b"}}, {"labels": {"a": "b"}}, ""),
        ({"nodeSelector": {"a": "b"}}, {}, "node selector (a=b)"),
        ({}, {"unschedulable": True}, "were unschedulable"),
        ({}, {"taints": (("k", "v", "NoSchedule"),)}, "untolerated taint {k: v}"),
        ({}, {"taints": (("k", "v", "PreferNoSchedule"),)}, ""),
        ({"tolerations": [{"key": "k", "value": "v"}]}, {"taints": (("k", "v", "NoExecute"),)}, ""),
        ({"tolerations": [{"key": "k", "operator": "Exists"}]}, {"taints": (("k", "v", "NoSchedule"),)}, ""),
        ({"tolerations": [{"operator": "Exists"}]}, {"unschedulable": True}, ""),
        ({"tolerations": [{"key": "k", "value": "w"}]}, {"taints": (("k", "v", "NoSchedule"),)}, "untolerated"),
        ({"schedulerName": "mine"}, {}, "no scheduler 'mine'"),
    ],
)
def test_a_pod_fits_the_node_or_the_reason_is_named(spec, place, words):
    found = placing.obstacle(pod(**spec), placing.Place(**place))

    assert words in found
    assert bool(found) is bool(words)


def container(name="app", *, code=None, running=False, ready=False, started=False, restarts=0, **spec):
    state = {"waiting": {"reason": "ContainerCreating"}}
    if running:
        state = {"running": {}}
    if code is not None:
        state = {"terminated": {"exitCode": code}}
    spec = {"name": name, "image": "x", **spec}
    return ContainerState(spec=spec, state=state, ready=ready, started=started, restarts=restarts)


@pytest.mark.parametrize(
    ("inits", "mains", "ended", "phase"),
    [
        ([], [container()], False, "Pending"),
        ([], [container(running=True)], False, "Running"),
        ([container("i", running=True)], [container()], False, "Pending"),
        ([container("i", code=0)], [container(running=True)], False, "Running"),
        ([container("s", running=True, restartPolicy="Always")], [container()], False, "Pending"),
        ([container("s", running=True, started=True, restartPolicy="Always")], [container(running=True)], False, "Running"),
        ([], [container(code=0)], True, "Succeeded"),
        ([], [container(code=0), container("b", code=1)], True, "Failed"),
        ([container("i", code=1)], [container()], True, "Failed"),
        ([container("s", code=143, restartPolicy="Always")], [container(code=0)], True, "Succeeded"),
        ([], [container(restarts=1)], False, "Running"),
    ],
)  # fmt: skip
def test_a_pods_phase_follows_from_its_containers(inits, mains, ended, phase):
    assert statuses.phase(Facts(inits=inits, mains=mains, ended=ended)) == phase


def test_the_time_of_a_condition_stays_until_it_changes():
    facts = Facts(inits=[], mains=[container(running=True)], address="10.244.0.2")
    first = statuses.status(pod(), facts, "T1")
    second = statuses.status({**pod(), "status": first}, facts, "T2")
    ready = Facts(inits=[], mains=[container(running=True, ready=True)], address="10.244.0.2")
    third = statuses.status({**pod(), "status": second}, ready, "T3")

    times = [
        {c["type"]: c["lastTransitionTime"] for c in each["conditions"]}["Ready"] for each in (first, second, third)
    ]
    assert times == ["T1", "T1", "T3"]


def test_a_readiness_gate_keeps_a_pod_from_being_ready():
    facts = Facts(inits=[], mains=[container(running=True, ready=True)])
    gated = pod(readinessGates=[{"conditionType": "tests.example/open"}])

    def ready(conditions):
        given = {**gated, "status": {"conditions": conditions}}
        return {c["type"]: c["status"] for c in statuses.status(given, facts, "T")["conditions"]}

    assert ready([])["Ready"] == "False"
    assert ready([])["ContainersReady"] == "True"
    assert ready([{"type": "tests.example/open", "status": "True"}])["Ready"] == "True"


MOUNTS = r"""
22 1 0:21 / /proc rw - proc proc rw
23 1 8:1 / / rw - ext4 /dev/a rw
24 23 8:2 / /home rw - ext4 /dev/b rw
25 24 8:3 / /home/a\040b rw - ext4 /dev/c rw
26 23 0:5 / /sys rw - sysfs sysfs rw
27 23 8:4 / /tmp/x rw - ext4 /dev/d rw
28 23 8:5 / /srv/data rw - xfs /dev/e rw
29 23 8:6 / /srv rw - xfs /dev/f rw
"""


def test_the_roots_of_other_peoples_containers_are_no_submounts():
    line = "9 1 0:5 / /var/lib/docker/overlay2/f330/merged rw - overlay overlay rw"
    assert roots.submounts(f"{MOUNTS.strip()}\n{line}") == roots.submounts(MOUNTS.strip())


def test_submounts_are_those_of_real_file_systems_that_nothing_covers():
    assert roots.submounts(MOUNTS.strip()) == ["/home", "/srv", "/home/a b"]
    assert roots.submounts(MOUNTS.strip(), "/home") == ["/home/a b"]
