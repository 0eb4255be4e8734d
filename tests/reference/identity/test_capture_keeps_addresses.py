"""TPROXY and captured names at work in real network namespaces: a pod, and a client in another one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

OTHER_SCENE = r"""
import json, os, socket, subprocess, sys
def run(*argv): return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
refmesh = [sys.executable, "-m", "mesh_reference.cli", "iptables"]
family, pod, client, dns = {
    "4": (socket.AF_INET, "10.9.0.1", "10.9.0.2", "10.50.0.53"), "6": (socket.AF_INET6, "fd09::1", "fd09::2", "fd50::53"),
}[sys.argv[1]]
anywhere = "0.0.0.0" if family is socket.AF_INET else "::"
run("ip", "link", "set", "lo", "up")
# A client in a namespace of its own, held open by a child that waits for our word.
words, done = os.pipe(), os.pipe()
child = os.fork()
if not child:
    os.unshare(os.CLONE_NEWNET) if hasattr(os, "unshare") else __import__("ctypes").CDLL(None).unshare(0x40000000)
    os.write(done[1], b"n"); os.read(words[0], 1)
    bits = "/24" if family is socket.AF_INET else "/64"
    extra = [] if family is socket.AF_INET else ["nodad"]
    run("ip", "addr", "add", client + bits, "dev", "mesh1", *extra); run("ip", "link", "set", "mesh1", "up")
    answers = []
    for port in (8080, 15021):
        with socket.socket(family, socket.SOCK_STREAM) as caller:
            caller.settimeout(10); caller.connect((pod, port)); answers.append(caller.recv(99).decode())
    # The link between the namespaces goes with this one: it must outlive the rest of the scene.
    os.write(done[1], json.dumps(answers).encode()); os.read(words[0], 1); os._exit(0)
os.read(done[0], 1)
run("ip", "link", "add", "mesh0", "type", "veth", "peer", "name", "mesh1", "netns", str(child))
extra = [] if family is socket.AF_INET else ["nodad"]
run("ip", "addr", "add", pod + ("/24" if family is socket.AF_INET else "/64"), "dev", "mesh0", *extra)
run("ip", "link", "set", "mesh0", "up"); run("ip", "-" + sys.argv[1], "route", "add", "default", "dev", "mesh0")
arguments = ["-i", "*", "-b", "*", "-d", "15021", "-m", "TPROXY", "--redirect-dns", "--capture-all-dns"]
arguments.append("--ipv6" if family is socket.AF_INET6 else "--no-ipv6")
save = "iptables-save" if family is socket.AF_INET else "ip6tables-save"
saved = []
for _ in range(2):
    run(*refmesh, *arguments)
    # Packets are counted: only the rules are to be the same.
    saved.append([l for l in run(save).splitlines() if l[:1] in "-*"] + [run("ip", "-" + sys.argv[1], "rule")])
def listener(port, transparent=False):
    server = socket.socket(family, socket.SOCK_STREAM); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if transparent: server.setsockopt(*((socket.SOL_IP, 19) if family is socket.AF_INET else (41, 75)), 1)
    server.bind((anywhere, port)); server.listen(); server.settimeout(10); return server
proxy, health = listener(15006, transparent=True), listener(15021)
os.write(words[1], b"g")
seen = {}
for name, server in (("captured", proxy), ("excluded", health)):
    connection, peer = server.accept()
    seen[name] = [peer[0] == client, connection.getsockname()[:2] == (pod, 8080 if name == "captured" else 15021)]
    connection.sendall(name.encode()); connection.close()
seen["client"] = json.loads(os.read(done[0], 999))
os.setegid(1337)  # rules know the agent by its owner
agent = socket.socket(family, socket.SOCK_DGRAM); os.setegid(0)
agent.bind(("127.0.0.1" if family is socket.AF_INET else "::1", 15053))  # where REDIRECT of own packets leads
agent.settimeout(10)
asker = os.fork()
if not asker:
    os.setgid(1000); os.setuid(1000)
    with socket.socket(family, socket.SOCK_DGRAM) as question:
        question.settimeout(10); question.sendto(b"name?", (dns, 53)); answer, sender = question.recvfrom(99)
        os._exit(0 if (answer, sender[:2]) == (b"address", (dns, 53)) else 1)
text, who = agent.recvfrom(99); agent.sendto(b"address", who)
seen["name"] = [text.decode(), os.waitpid(asker, 0)[1]]
seen["same"] = saved[0] == saved[1]
os.write(words[1], b"e"); os.waitpid(child, 0)
print(json.dumps(seen))
"""


@pytest.mark.parametrize("version", ["4", "6"])
def test_in_a_real_namespace_a_transparent_socket_sees_both_addresses_and_names_reach_the_agent(  # IT7 IT8 IT9
    tmp_path: Path, version: str
):
    scene = tmp_path / "scene.py"
    scene.write_text(OTHER_SCENE)
    done = subprocess.run(
        ["unshare", "-n", sys.executable, str(scene), version], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "captured": [True, True],
        "excluded": [True, True],
        "client": ["captured", "excluded"],
        "name": ["name?", 0],
        "same": True,
    }
