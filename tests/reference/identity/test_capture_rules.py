"""The capture rules: word for word, refused where they cannot be made, and at work in a real network namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesh_reference.agent import capture as capturing
from mesh_reference.agent import iptables, iptables_command

INJECTED = ["-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*",
            "-d", "15090,15021,15020", "--log_output_level=default:info"]  # fmt: skip
"""What the injector passes (istio-semantics 2.2)."""

INJECTED_RULES = """\
*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp -m tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
"""


def dry_run(*arguments: str):
    return CliRunner().invoke(iptables_command.command, [*arguments, "--dry-run", "--no-ipv6"], catch_exceptions=False)


def made(*arguments: str) -> list[str]:
    result = dry_run(*arguments)
    assert result.exit_code == 0, result.output
    return [line for line in result.output.splitlines() if line.startswith("-A")]


def test_the_injectors_arguments_make_exactly_these_rules():  # IT1 IT2 IT4
    assert dry_run(*INJECTED).output == INJECTED_RULES


def test_ipv6_has_its_own_loopback_addresses():  # IT9
    result = CliRunner().invoke(iptables_command.command, ["-i", "*", "-b", "*", "--dry-run", "--ipv6"])
    _, four, six = result.output.split("*nat\n")
    assert six == four.replace("127.0.0.6/32", "::6/128").replace("127.0.0.1/32", "::1/128")


def test_nothing_included_captures_nothing():  # IT3 IT5
    rules = made()
    assert "-A PREROUTING -p tcp -j ISTIO_INBOUND" not in rules
    assert not any(rule.startswith("-A ISTIO_OUTPUT") and rule.endswith("-j ISTIO_REDIRECT") for rule in rules)


def test_inbound_ports_by_name_are_captured_alone():  # IT3
    inbound = [rule for rule in made("-b", "80, 8080") if rule.startswith("-A ISTIO_INBOUND")]
    assert inbound == [
        "-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN",
        "-A ISTIO_INBOUND -p tcp -m tcp --dport 80 -j ISTIO_IN_REDIRECT",
        "-A ISTIO_INBOUND -p tcp -m tcp --dport 8080 -j ISTIO_IN_REDIRECT",
    ]


def test_outbound_ranges_and_ports_end_the_output_chain_in_istios_order():  # IT5
    rules = made("-i", "10.96.0.0/16,fd00::/8", "-x", "10.96.7.0/24", "-q", "3306", "-o", "25")
    assert rules[-4:] == [
        "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
        "-A ISTIO_OUTPUT -d 10.96.7.0/24 -j RETURN",
        "-A ISTIO_OUTPUT -p tcp -m tcp --dport 3306 -j ISTIO_REDIRECT",
        "-A ISTIO_OUTPUT -d 10.96.0.0/16 -j ISTIO_REDIRECT",
    ]
    jump = rules.index("-A OUTPUT -j ISTIO_OUTPUT")
    assert rules[jump + 1 : jump + 3] == [
        "-A ISTIO_OUTPUT -p tcp -m tcp --dport 25 -j RETURN",
        "-A ISTIO_OUTPUT -p udp -m udp --dport 25 -j RETURN",
    ]


def test_a_captured_loopback_range_takes_the_applications_own_calls_too():  # IT4 IT5
    assert "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN" in made("-i", "10.0.0.0/8")
    assert "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN" not in made("-i", "127.0.0.2/32")


def test_interfaces_are_left_alone_or_rerouted():  # IT6
    rules = made("-c", "eth1", "-k", "net1", "-i", "*", "-b", "*")
    prerouting = [rule for rule in rules if rule.startswith("-A PREROUTING")]
    assert prerouting == [
        "-A PREROUTING -i net1 -j ISTIO_REDIRECT",
        "-A PREROUTING -i net1 -j RETURN",
        "-A PREROUTING -i eth1 -j RETURN",
        "-A PREROUTING -p tcp -j ISTIO_INBOUND",
    ]
    assert rules.index("-A OUTPUT -o eth1 -j RETURN") < rules.index("-A OUTPUT -j ISTIO_OUTPUT")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["-m", "SOMETIMES"], "-m SOMETIMES: use REDIRECT or TPROXY"),
        (["-d", "http"], "-d: 'http'"),
        (["-b", "*,80"], "-b: '*'"),
        (["-p", "0"], "-p: '0'"),
        (["-o", "65536"], "-o: '65536'"),
        (["-i", "10.0.0.0/33"], "-i: '10.0.0.0/33'"),
        (["-x", "*"], "-x: '*'"),
        (["-u", "envoy"], "-u: 'envoy'"),
        (["-c", "eth0 -j ACCEPT"], "-c: "),
        (["-c", "eth0\nCOMMIT"], "-c: "),
    ],
)
def test_what_cannot_be_done_is_refused_by_the_flags_name(arguments, name):
    result = dry_run(*arguments)
    assert result.exit_code == 1
    assert name in result.output
    assert "-A " not in result.output


def test_a_second_run_deletes_only_its_own_jumps():  # IT10
    capture = capturing.Capture(inbound_ports=("*",), outbound_ranges=("*",), excluded_interfaces=("eth1",))
    current = (
        "-A PREROUTING -i eth1 -j RETURN\n-A PREROUTING -p tcp -j ISTIO_INBOUND\n-A PREROUTING -p udp -j FOREIGN\n"
        "-A OUTPUT -j ISTIO_OUTPUT\n-A OUTPUT -j FOREIGN\n"
    )
    deleted = [line for line in iptables.restore_input(capture, 4, current).splitlines() if line.startswith("-D")]
    assert deleted == [
        "-D PREROUTING -i eth1 -j RETURN",
        "-D PREROUTING -p tcp -j ISTIO_INBOUND",
        "-D OUTPUT -j ISTIO_OUTPUT",
    ]


TPROXY_RULES = """\
# ip -4 rule add fwmark 1337 lookup 133
# ip -4 route replace local default dev lo table 133
*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
*mangle
:ISTIO_DIVERT - [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_TPROXY - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A PREROUTING -p tcp -m mark --mark 0x539 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A OUTPUT -o lo -p tcp -m mark --mark 0x539 -j RETURN
-A OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --uid-owner 1337 -j MARK --set-xmark 0x53a/0xffffffff
-A OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m owner --gid-owner 1337 -j MARK --set-xmark 0x53a/0xffffffff
-A OUTPUT -p tcp -m connmark --mark 0x539 -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A ISTIO_INBOUND -p tcp -m mark --mark 0x539 -j RETURN
-A ISTIO_INBOUND -s 127.0.0.6/32 -i lo -p tcp -j RETURN
-A ISTIO_INBOUND -i lo -p tcp -m mark ! --mark 0x53a -j RETURN
-A ISTIO_INBOUND -p tcp -m tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT
-A ISTIO_INBOUND -p tcp -j ISTIO_TPROXY
-A ISTIO_DIVERT -j MARK --set-xmark 0x539/0xffffffff
-A ISTIO_DIVERT -j ACCEPT
-A ISTIO_TPROXY ! -d 127.0.0.1/32 -p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xffffffff
COMMIT
"""


def test_tproxy_marks_inbound_connections_and_redirects_outbound_ones():  # IT8
    assert dry_run("-m", "TPROXY", "-i", "*", "-b", "*", "-d", "15021").output == TPROXY_RULES


def test_tproxy_of_named_ports_and_excluded_interfaces_stays_with_them():  # IT8
    rules = made("-m", "TPROXY", "-b", "80", "-c", "eth1")
    assert rules.count("-A PREROUTING -i eth1 -j RETURN") == rules.count("-A OUTPUT -o eth1 -j RETURN") == 2
    assert [rule for rule in rules if "--dport 80 " in rule] == [
        "-A ISTIO_INBOUND -p tcp -m tcp --dport 80 -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT",
        "-A ISTIO_INBOUND -p tcp -m tcp --dport 80 -j ISTIO_TPROXY",
    ]
    assert "-A ISTIO_INBOUND -p tcp -j ISTIO_TPROXY" not in rules


OWNER = "-m owner --uid-owner 1337"
DNS_OF_ALL = [
    f"-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m multiport ! --dports 53,15008 {OWNER} -j ISTIO_IN_REDIRECT",
    "-A ISTIO_OUTPUT -o lo -p tcp -m tcp ! --dport 53 -m owner ! --uid-owner 1337 -j RETURN",
    "-A ISTIO_OUTPUT -j ISTIO_OUTPUT_DNS",
    "-A ISTIO_OUTPUT_DNS -p tcp -m tcp --dport 53 -j REDIRECT --to-ports 15053",
    "-A ISTIO_OUTPUT_DNS -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053",
    "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
    "-A OUTPUT -j ISTIO_OUTPUT_DNS",
    "-A ISTIO_OUTPUT_DNS -p udp -m udp --dport 53 -m owner --uid-owner 1337 -j CT --zone 1",
    "-A ISTIO_OUTPUT_DNS -p udp -m udp --sport 15053 -m owner --uid-owner 1337 -j CT --zone 2",
    "-A ISTIO_OUTPUT_DNS -p udp -m udp --dport 53 -m owner --gid-owner 1337 -j CT --zone 1",
    "-A ISTIO_OUTPUT_DNS -p udp -m udp --sport 15053 -m owner --gid-owner 1337 -j CT --zone 2",
    "-A PREROUTING -j ISTIO_INBOUND",
    "-A ISTIO_OUTPUT_DNS -p udp -m udp --dport 53 -j CT --zone 2",
    "-A ISTIO_INBOUND -p udp -m udp --sport 53 -j CT --zone 1",
]


def test_captured_names_go_to_the_agent_in_connection_tracking_zones_of_their_own():  # IT7
    rules = made(*INJECTED, "--redirect-dns", "--capture-all-dns")
    places = [rules.index(rule) for rule in DNS_OF_ALL]
    assert places == sorted(places)


def test_without_capture_of_all_names_only_the_pods_nameservers_are_captured():  # IT7
    capture = capturing.Capture(outbound_ranges=("*",), dns_servers=("10.96.0.10", "fd00::a"))
    for version, server in ((4, "10.96.0.10/32"), (6, "fd00::a/128")):
        tables = iptables.tables(capture, version)
        redirected = [rule for rule in tables["nat"] if rule.endswith("15053")]
        assert redirected == [
            f"-A ISTIO_OUTPUT_DNS -d {server} -p tcp -m tcp --dport 53 -j REDIRECT --to-ports 15053",
            f"-A ISTIO_OUTPUT_DNS -d {server} -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053",
        ]
        assert tables["raw"][-2:] == [
            f"-A ISTIO_OUTPUT_DNS -d {server} -p udp -m udp --dport 53 -j CT --zone 2",
            f"-A ISTIO_INBOUND -s {server} -p udp -m udp --sport 53 -j CT --zone 1",
        ]


def test_a_pod_without_a_nameserver_has_no_names_to_capture(monkeypatch):
    monkeypatch.setattr(iptables_command, "RESOLVER", Path("/nowhere/resolv.conf"))
    result = dry_run("--redirect-dns")
    assert result.exit_code == 1
    assert "--redirect-dns: /nowhere/resolv.conf names no nameserver; use --capture-all-dns" in result.output


def test_a_later_run_in_another_mode_clears_the_first_ones_rules_away():  # IT10
    before = iptables.restore_input(
        capturing.Capture(mode="TPROXY", inbound_ports=("*",), dns_servers=("*",), outbound_ranges=("*",)), 4
    )
    lines = iptables.restore_input(capturing.Capture(inbound_ports=("*",), outbound_ranges=("*",)), 4, before)
    assert {line for line in lines.splitlines() if line.startswith("*")} == {"*nat", "*mangle", "*raw"}
    mangle = lines.split("*mangle")[1].split("COMMIT")[0].splitlines()[1:]
    assert all(line.startswith((":", "-D")) for line in mangle)
    assert sum(line.startswith("-D") for line in mangle) == 6


SCENE = r"""
import json, os, socket, subprocess, sys
def run(*argv): return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
run("ip", "link", "set", "lo", "up")
run("ip", "link", "add", "mesh0", "type", "veth", "peer", "name", "mesh1"); run("ip", "link", "set", "mesh1", "up")
run("ip", "addr", "add", "10.9.0.1/32", "dev", "mesh0")
run("ip", "link", "set", "mesh0", "up"); run("ip", "route", "add", "default", "dev", "mesh0", "src", "10.9.0.1")
listeners = {}
for name, port in (("outbound", 15001), ("inbound", 15006), ("app", 8080)):
    listeners[name] = socket.create_server(("0.0.0.0", port), backlog=64)
    listeners[name].setblocking(False)
refmesh = [sys.executable, "-m", "mesh_reference.cli", "iptables", "--no-ipv6", *json.loads(sys.argv[1])]
run(*refmesh); first = run("iptables-save", "-t", "nat").splitlines()
run(*refmesh); second = run("iptables-save", "-t", "nat").splitlines()
def who(address, port, uid, source=None):
    # Connect as uid and see which listener got it.
    child = os.fork()
    if not child:
        os.setgid(uid); os.setuid(uid)
        with socket.socket() as caller:  # create_connection would import a codec, which this uid may not read
            caller.settimeout(1)
            try:
                if source: caller.bind(source)
                caller.connect((address, port))
            except OSError: os._exit(1)
        os._exit(0)
    ok = os.waitpid(child, 0)[1] == 0
    for name, listener in listeners.items():
        try: listener.accept()[0].close()
        except BlockingIOError: continue
        return name
    return "nobody" if ok else "refused"
print(json.dumps({
    "same": [l for l in first if l[0] != "#"] == [l for l in second if l[0] != "#"],
    "app to elsewhere": who("10.50.0.1", 80, 1000),
    "app to itself by loopback": who("127.0.0.1", 8080, 1000),
    "app to itself by its address": who("10.9.0.1", 8080, 1000),
    "proxy to its own service": who("10.9.0.1", 8080, 1337),
    "proxy to the app from its inbound address": who("10.9.0.1", 8080, 1337, ("127.0.0.6", 0)),
    "proxy to loopback": who("127.0.0.1", 8080, 1337),
}))
"""


def test_in_a_real_namespace_the_rules_send_each_connection_where_it_belongs(tmp_path: Path):  # IT1 IT4 IT10
    scene = tmp_path / "scene.py"
    scene.write_text(SCENE)
    done = subprocess.run(
        ["unshare", "-n", sys.executable, str(scene), json.dumps(INJECTED)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "same": True,
        "app to elsewhere": "outbound",
        "app to itself by loopback": "app",
        "app to itself by its address": "app",
        "proxy to its own service": "inbound",
        "proxy to the app from its inbound address": "app",
        "proxy to loopback": "app",
    }
