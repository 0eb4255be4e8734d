"""docs/injection.md: every rule of sidecar injection, the tests that hold it, and what is left out and why.

The page is made from the tests themselves, which cite the rules; ``--update-goldens`` writes it.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from istio_differences import DIFFERENCES
from test_annotations_are_checked import CASES

REFERENCE = Path(__file__).parents[1]
PAGE = REFERENCE.parents[1] / "docs" / "injection.md"
PLACES = ("injection/*.py", "webhooks/*.py", "identity/test_capture_*.py", "identity/test_agent_with_envoy.py",
          "identity/test_grpc_probes_are_made.py", "identity/test_agent_reads_its_environment.py")  # fmt: skip
RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "IA": ("Whether the API server asks", (
        "`istio.io/rev` of the namespace, where `istio-injection` is absent", "`istio.io/rev` of the pod, where the namespace says nothing",
        "`istio-injection: enabled`", '`sidecar.istio.io/inject: "true"` of the pod, where the namespace says nothing',
        "by default, where nobody says anything", "`istio-injection` counts before `istio.io/rev`, and `disabled` before the pod's word",
        "at the creation of pods, fail closed, no second call",
    )),
    "IB": ("Whether a pod is injected", (
        "never on the host's network", "never in kube-system, kube-public, kube-node-lease and local-path-storage",
        "the pod's label, else its annotation", "neverInjectSelector", "alwaysInjectSelector", "the policy",
        "the pod's word counts before selectors and policy", "another word is warned of and says nothing",
    )),
    "IC": ("What is injected", (
        "istio-init's arguments", "annotations add -q, -o, -c and -k", "no istio-init with interceptionMode NONE", "istio-init's rights",
        "native sidecar: an init container that goes on running; else a regular container", "native where every kubelet is of 1.33 or later (ENABLE_NATIVE_SIDECARS=auto)",
        "the annotation, the operator's setting and the command's option choose", "readiness and start-up probes", "the proxy's arguments, port, user, rights and resources",
        "preStop drains a native sidecar", "holdApplicationUntilProxyStarts", "environment, in Istio's order; the owner", "volumes and mounts; the token's audience",
        "labels: canonical name and revision, tlsMode", "annotations: revision, default container", "the status annotation", "reserved ports", "TPROXY: the proxy is root with NET_ADMIN, whatever user is written",
        "ISTIO_META_DNS_CAPTURE: port 53 goes to the agent, which answers names of the mesh",
    )),
    "IT": ("iptables (`refmesh iptables`)", (
        "chains and order of REDIRECT mode", "15008 and excluded inbound ports return", "named inbound ports, or none", "loops of the proxy to its own pod",
        "outbound ranges and ports, included and excluded", "excluded and rerouted interfaces", "captured names: port 53 to 15053, two conntrack zones",
        "TPROXY: marks 1337 and 1338, ISTIO_DIVERT, ISTIO_TPROXY", "IPv6", "a second run changes nothing",
    )),
    "IM": ("The pipeline", (
        "400 without a body, 415 for another content type; the answer is an RFC 6902 patch", "inject.istio.io/templates; an unknown one is refused", "the template gateway",
        "`/inject/cluster/c/net/n` sets environment", "an earlier injection is taken back first", "a user's istio-proxy or istio-init wins field by field; `image: auto`; kept in an annotation",
        "httpGet, tcpSocket and grpc probes and hooks go through the agent, exec stays; the way out", "nothing of the user's is lost", "metrics are merged; the way out; reserved ports",
        "istio-init follows an overridden user", "order of containers", "the agent makes the moved probes and joins the metrics",
    )),
    "IR": ("A second injection", ("inject∘inject = inject", "also with a user's istio-proxy or istio-init", "what the API server filled in stays")),
    "IK": ("`refmesh kube-inject`", (
        "Deployment, DaemonSet, StatefulSet, ReplicaSet, ReplicationController, DeploymentConfig, Job, CronJob, Pod", "List", "unknown kinds pass untouched",
        "many documents, `---` after each; comments of untouched ones stay", "the host's network: untouched, with a note", "-o, -n, --revision, --meshConfigFile, --no-native-sidecar",
        "bad input: one line each, the rest is printed, the exit code is not 0", "the same as the webhook",
    )),
}  # fmt: skip
LEFT_OUT = {
    "istio-validation": "Istio's CNI plugin is not part of this mesh",
    "templates grpc-simple and grpc-agent": "refused by name: gRPC without a proxy is not served",
    "aliases, templates of the operator's own": "Istio's chart configures them; here templates are code, and an unknown name is refused",
    "istio-iptables' -t, -r, owner groups, DROP_INVALID, clean-up, validation and nftables": "not asked for by any rule above; an unknown flag is an error",
    "kube-inject through the cluster's webhook": "it reads files alone: `kubectl apply --dry-run=server` asks the webhook",
    "kube-inject's --injectConfigFile, --valuesFile, --operatorFileName": "they hold Istio's own templates and values",
}
CHECKED = (
    "sidecar.istio.io/interceptionMode", "status.sidecar.istio.io/port", "readiness.status.sidecar.istio.io/initialDelaySeconds",
    "readiness.status.sidecar.istio.io/periodSeconds", "readiness.status.sidecar.istio.io/failureThreshold", "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges", "traffic.sidecar.istio.io/includeInboundPorts", "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/excludeOutboundPorts", "traffic.sidecar.istio.io/excludeInterfaces", "traffic.sidecar.istio.io/kubevirtInterfaces",
    "istio.io/reroute-virtual-interfaces", "prometheus.istio.io/merge-metrics", "proxy.istio.io/config", "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyMemory", "sidecar.istio.io/proxyCPULimit", "sidecar.istio.io/proxyMemoryLimit",
)  # fmt: skip
"""The 19 whose values Istio checks, in its order."""


def ids() -> list[str]:
    return [f"{letters}{number}" for letters, (_, rules) in RULES.items() for number in range(1, len(rules) + 1)]


def found() -> dict[str, list[str]]:
    """Rule: the tests that cite it in a comment."""
    cited: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for place in PLACES for path in REFERENCE.glob(place)):
        if path.name == Path(__file__).name:
            continue
        test = ""
        for line in path.read_text().splitlines():
            if named := re.match(r"(?:async )?def (\w+)", line):
                test = named[1]
            for rule in re.findall(r"\bI[A-Z]\d{1,2}\b", line.partition("#")[2]):
                cited[rule].append(test)
    return cited


def page() -> str:
    cited = found()
    out = [
        "# Injection: rules and their tests", "",
        "Made by `pytest tests/reference/injection/test_every_rule_is_tested.py --update-goldens` from the tests, which cite the rules.",
        "They are in `tests/reference` (`injection`, `webhooks`, `identity`). `make injection` runs injected pods and compares them with Istio's.",
    ]  # fmt: skip
    for letters, (title, rules) in RULES.items():
        out += ["", f"## {title}", "", "| rule | what it says | tests |", "|---|---|---|"]
        for number, text in enumerate(rules, 1):
            tests = ", ".join(f"`{name}`" for name in dict.fromkeys(cited.get(f"{letters}{number}", ())))
            out.append(f"| {letters}{number} | {text} | {tests} |")
    out += ["", "## Checked annotations", "",
            "Each refused value breaks only its own rule; the refusal names the annotation and what is allowed.",
            "Test: `test_a_value_in_range_passes_and_its_twin_is_refused_by_name`.", "",
            "| rule | annotation | passes | refused |", "|---|---|---|---|"]  # fmt: skip
    names = dict.fromkeys((*CHECKED, *(name for name, _, _ in CASES)))
    for number, name in enumerate(names, 1):
        good, bad = ([text for other, *pair in CASES if other == name for text in (pair[at],)] for at in (0, 1))
        cells = [", ".join(f"`{text}`" if text else "empty" for text in dict.fromkeys(texts)) for texts in (good, bad)]
        out.append(f"| IV{number} | {name} | {cells[0]} | {cells[1]} |".replace("\n", " "))
    out += ["", "IV1 to IV19 are those that Istio checks; the rest are this mesh's own.", "", "## Left out", ""]
    out += [f"* {name}: {reason}." for name, reason in LEFT_OUT.items()]
    out += ["", "## Differences with Istio's injector", "",
            "`make injection` injects the same pods with Istio's own program (MESH_ISTIO_BIN) and compares\nfield by field; these differences are meant, and any other one is a failure:", ""]  # fmt: skip
    out += [f"* {item.what}: {item.why}." for item in DIFFERENCES]
    out += ["", "It also runs Istio's `istio-iptables` and `refmesh iptables` with the same arguments (IT1 to IT9, dual stack), each in a network namespace",
            "of its own, and compares what the kernel holds then: rules of every table, policy rules and routes. There are no differences."]  # fmt: skip
    return "\n".join([*out, "", *STRATEGY, ""])


STRATEGY = """\
## Pods for tests of your own

`pytest_mesh.strategies.pods()` is a [hypothesis](https://hypothesis.readthedocs.io) strategy of Pods as users write them: named and
numbered ports, probes of all four kinds, hooks, init containers, volumes, an `istio-proxy` of the user's own, annotations that steer injection.

```python
from hypothesis import given
from pytest_mesh.strategies import pods

@given(pod=pods(own_proxies=False))
def test_my_webhook_keeps_the_users_containers(pod):
    ...
```

| parameter | default | what it does |
|---|---|---|
| `own_proxies` | `True` | whether there may be containers named `istio-proxy` and `istio-init` |
| `steered` | `True` | whether there may be annotations of `pods.STEERING` |""".splitlines()


@pytest.mark.parametrize("rule", ids())
def test_the_rule_has_a_test(rule: str) -> None:
    assert found().get(rule), f"no test cites {rule}"


def test_no_test_cites_a_rule_that_does_not_exist() -> None:
    assert set(found()) - set(ids()) <= {"IV1"}


@pytest.mark.parametrize("name", CHECKED)
def test_the_annotation_has_a_good_and_a_bad_value(name: str) -> None:
    assert any(other == name for other, _, _ in CASES)


def test_the_page_says_what_the_tests_say(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-goldens"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), f"{PAGE} is behind the tests: run this file with --update-goldens"
