"""The same arguments for Istio's ``pilot-agent istio-iptables`` and for ``refmesh iptables``, each in a network namespace.

Both run for real, and what the kernel then holds is compared chain by chain. Run with ``make injection``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCENE = r"""
import json, subprocess, sys
def run(*argv): return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
run("ip", "link", "set", "lo", "up")
run("ip", "link", "add", "mesh0", "type", "veth", "peer", "name", "mesh1"); run("ip", "link", "set", "mesh0", "up")
run("ip", "addr", "add", "10.9.0.1/24", "dev", "mesh0"); run("ip", "-6", "addr", "add", "fd09::1/64", "dev", "mesh0", "nodad")
done = subprocess.run(json.loads(sys.argv[1]), capture_output=True, text=True)
if done.returncode: sys.exit(done.stdout + done.stderr)
found = {}
for version, tool in (("4", "iptables-save"), ("6", "ip6tables-save")):
    table = ""
    for line in run(tool).splitlines():
        if line.startswith("*"): table = line[1:]
        elif line.startswith("-A"): found.setdefault(f"IPv{version} {table} {line.split()[1]}", []).append(line)
    found[f"IPv{version} policy"] = [line.split(":", 1)[1].strip() for line in run("ip", "-" + version, "rule").splitlines()]
    found[f"IPv{version} route"] = [
        line.split() for line in run("ip", "-" + version, "route", "show", "table", "all").splitlines() if "133" in line]
print(json.dumps(found))
"""
INJECTED = ["-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*",
            "-d", "15090,15021,15020"]  # fmt: skip
CASES = {
    "as injected": INJECTED,
    "nothing": ["-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT"],
    "named ports": [*INJECTED[:8], "-b", "80,8080", "-i", "*", "-q", "443", "-o", "25,26"],
    "ranges": [*INJECTED[:8], "-b", "*", "-i", "10.0.0.0/8,fd00::/8", "-x", "10.1.0.0/16,fd01::/16"],
    "loopback range": [*INJECTED[:8], "-b", "*", "-i", "127.0.0.2/32"],
    "interfaces": [*INJECTED, "-c", "eth1,eth2"],
    "rerouted interfaces": [*INJECTED, "-k", "net1,net2"],
    "rerouted interfaces and ranges": [*INJECTED[:8], "-b", "*", "-i", "10.0.0.0/8,11.0.0.0/8", "-k", "net1,net2"],
    "two users": [*INJECTED, "-u", "1337,4000", "-g", "1338"],
    "TPROXY": [*INJECTED, "-m", "TPROXY"],
    "TPROXY of named ports": [*INJECTED[:6], "-m", "TPROXY", "-b", "80,8080", "-i", "*", "-c", "eth1"],
    "TPROXY of nothing inbound": [*INJECTED[:6], "-m", "TPROXY", "-i", "*"],
    "names": [*INJECTED, "--redirect-dns"],
    "all names": [*INJECTED, "--redirect-dns", "--capture-all-dns"],
    "all names and TPROXY": [*INJECTED, "--redirect-dns", "--capture-all-dns", "-m", "TPROXY"],
}


@pytest.fixture(scope="module")
def pilot_agent() -> str:
    directory = os.environ.get("MESH_ISTIO_BIN")
    if not directory:
        pytest.exit("MESH_ISTIO_BIN is not set: it names the directory of Istio's programs", returncode=10)
    return str(Path(directory) / "pilot-agent")


def kernel_after(argv: list[str], scene: Path) -> dict[str, list[str]]:
    done = subprocess.run(
        ["unshare", "-n", sys.executable, str(scene), json.dumps(argv)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_kernel_holds_the_same_rules_after_either_program(pilot_agent: str, tmp_path: Path, name: str) -> None:
    scene = tmp_path / "scene.py"
    scene.write_text(SCENE)
    ours = kernel_after([sys.executable, "-m", "mesh_reference.cli", "iptables", *CASES[name]], scene)
    theirs = kernel_after([pilot_agent, "istio-iptables", "--dual-stack", *CASES[name]], scene)
    assert {where for where in {*ours, *theirs} if ours.get(where) != theirs.get(where)} == set(), (ours, theirs)
