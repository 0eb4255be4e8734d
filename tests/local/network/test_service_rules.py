"""The Services' rules: as text, and in a network namespace of the test's own."""

import subprocess
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mesh.clusters.local.network import service_rules

WEB = "-d 10.96.0.7/32 -p tcp -m tcp --dport 80"


def service(**spec):
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], **spec},
    }


def endpoint_slice(*endpoints, name="http"):
    return {"endpoints": list(endpoints), "ports": [{"name": name, "port": 8080, "protocol": "TCP"}]}


def endpoint(address, **conditions):
    return {"addresses": [address], "conditions": conditions or {"ready": True}}


def test_a_service_port_leads_to_its_ready_endpoints():
    slices = [endpoint_slice(endpoint("10.244.0.5"), endpoint("10.244.0.6", ready=False))]
    assert service_rules.routes_of(service(), slices) == {WEB: (("10.244.0.5", 8080),)}


def test_an_endpoint_of_two_slices_counts_once():
    slices = [endpoint_slice(endpoint("10.244.0.5")), endpoint_slice(endpoint("10.244.0.5"))]
    assert service_rules.routes_of(service(), slices)[WEB] == (("10.244.0.5", 8080),)


def test_endpoints_that_end_serve_when_none_is_ready():
    ending = endpoint("10.244.0.5", ready=False, serving=True, terminating=True)
    assert service_rules.routes_of(service(), [endpoint_slice(ending)])[WEB] == (("10.244.0.5", 8080),)


def test_headless_and_external_services_have_no_routes():
    slices = [endpoint_slice(endpoint("10.244.0.5"))]
    assert service_rules.routes_of(service(clusterIP="None"), slices) == {}
    assert service_rules.routes_of(service(type="ExternalName"), slices) == {}


def test_a_port_takes_the_endpoints_of_its_own_name():
    assert service_rules.routes_of(service(), [endpoint_slice(endpoint("10.244.0.5"), name="other")]) == {}


def test_a_node_port_leads_there_too():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    routes = service_rules.routes_of(service(ports=ports), [endpoint_slice(endpoint("10.244.0.5"))])
    assert "-p tcp -m tcp --dport 30080 -m addrtype --dst-type LOCAL" in routes


def test_session_affinity_is_named_as_unsupported():
    (problem,) = service_rules.unsupported(service(sessionAffinity="ClientIP"))
    assert "sessionAffinity" in problem
    assert service_rules.unsupported(service()) == []


def test_a_change_only_inserts_and_a_sweep_only_deletes():
    _, before = service_rules.whole({WEB: (("10.244.0.5", 80),)})
    text, changed = service_rules.change(before, {WEB: (("10.244.0.6", 80),)})
    assert "-D" not in text
    assert f"-I MESH-SERVICES {WEB} -j MESH-1" in text
    swept, after = service_rules.sweep(changed)
    assert "-A" not in swept
    assert "-I" not in swept
    assert f"-D MESH-SERVICES {WEB} -j MESH-0" in swept
    assert "-X MESH-0" in swept
    assert service_rules.sweep(after)[0] == ""


def test_nothing_changed_is_no_text():
    routes = {WEB: (("10.244.0.5", 80),)}
    _, before = service_rules.whole(routes)
    assert service_rules.change(before, routes)[0] == ""


class Kernel:
    """Follows the nat rules' text as iptables-restore would; first match wins."""

    def __init__(self, text):
        self.chains = {}
        self.take(text)

    def take(self, text):
        for line in text.split("COMMIT")[0].splitlines():
            verb, _, rest = line.partition(" ")
            if verb.startswith(":"):
                self.chains[verb[1:]] = []
            elif verb in {"-A", "-I", "-D"}:
                chain, _, rule = rest.partition(" ")
                if verb == "-A":
                    self.chains[chain].append(rule)
                elif verb == "-I":
                    self.chains[chain].insert(0, rule)
                else:
                    self.chains[chain].remove(rule)
            elif verb == "-F":
                self.chains[rest].clear()
            elif verb == "-X":
                assert not self.chains[rest]
                assert not any(rule.endswith(f"-j {rest}") for rules in self.chains.values() for rule in rules)
                del self.chains[rest]

    def routes(self):
        found = {}
        for rule in self.chains["MESH-SERVICES"]:
            match, _, target = rule.rpartition(" -j ")
            if match not in found:
                rules = self.chains.get(target, [])
                pairs = [choice.rpartition(" ")[2].split(":") for choice in rules]
                found[match] = tuple((address, int(port)) for address, port in pairs)
        return {match: endpoints for match, endpoints in found.items() if endpoints}


matches = st.integers(1, 4).map(lambda n: f"-d 10.96.0.{n}/32 -p tcp -m tcp --dport 80")
targets = st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True).map(
    lambda numbers: tuple((f"10.244.0.{n}", 80) for n in sorted(numbers))
)
states = st.dictionaries(matches, targets, max_size=4)


@settings(deadline=None)
@given(first=states, later=st.lists(st.tuples(states, st.booleans()), max_size=8))
def test_after_any_changes_and_sweeps_the_rules_say_what_was_asked(first, later):
    text, applied = service_rules.whole(first)
    kernel = Kernel(text)
    for wanted, swept in later:
        text, applied = service_rules.change(applied, wanted)
        kernel.take(text)
        assert kernel.routes() == wanted
        if swept:
            text, applied = service_rules.sweep(applied)
            kernel.take(text)
            assert kernel.routes() == wanted
            assert len(kernel.chains["MESH-SERVICES"]) == len(wanted)


_IN_A_NODE = """
import asyncio, socket, subprocess
from pytest_mesh.clusters.local.network import services
from pytest_mesh.clusters.local.network.pods import NODE_ADDRESS, set_up_node

async def main():
    set_up_node()
    services._require_node(NODE_ADDRESS)
    services._prepare(NODE_ADDRESS)
    rules = services.Rules()
    async def greet(reader, writer, word):
        writer.write(word)
        writer.close()
        await writer.wait_closed()
    one = await asyncio.start_server(lambda r, w: greet(r, w, b"one"), NODE_ADDRESS, 8001)
    two = await asyncio.start_server(lambda r, w: greet(r, w, b"two"), NODE_ADDRESS, 8002)
    match = "-d 10.96.0.7/32 -p tcp -m tcp --dport 80"

    async def heard(count):
        words = set()
        for _ in range(count):
            try:
                reader, writer = await asyncio.open_connection("10.96.0.7", 80)
            except ConnectionRefusedError:
                words.add("refused")
                continue
            words.add((await reader.read()).decode())
            writer.close()
            await writer.wait_closed()
        return ",".join(sorted(words))

    await rules.apply({match: ((NODE_ADDRESS, 8001),)})
    print(await heard(3))
    await rules.apply({match: ((NODE_ADDRESS, 8001), (NODE_ADDRESS, 8002))})
    print(await heard(40))
    await rules.apply({})
    print(await heard(1))
    await rules.apply({match: ((NODE_ADDRESS, 8002),)})
    print(await heard(3))
    await rules.sweep()
    print(await heard(3), rules.stale)

asyncio.run(main())
"""


def test_connections_follow_the_rules_in_a_real_network_namespace():
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", _IN_A_NODE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["one", "one,two", "refused", "two", "two 0"], done.stderr


def test_the_proxy_refuses_to_run_outside_the_nodes_namespace():
    code = (
        "from pytest_mesh.clusters.local.network.netlink import Netlink\n"
        "from pytest_mesh.clusters.local.network import services\n"
        "with Netlink() as netlink:\n netlink.set_up('lo')\n"
        "services._require_node('10.244.0.1')"
    )
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "not the node's network namespace" in done.stderr
