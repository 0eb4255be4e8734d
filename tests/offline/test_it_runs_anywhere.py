"""Offline tests need no Linux, no privilege and none of the libraries of clusters and meshes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BLOCKED = """
import sys

FORBIDDEN = {names!r}


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"{{name}} is not on this system")


for name in [name for name in sys.modules if name.partition(".")[0] in FORBIDDEN]:
    del sys.modules[name]
sys.meta_path.insert(0, Finder())
"""
UNIX_ONLY = {"fcntl", "grp", "pwd", "pty", "resource", "termios", "tty", "syslog", "posix_ipc"}
LIBRARIES = {
    "aiohttp",
    "kubernetes",
    "grpc",
    "envoy",
    "dnslib",
    "celpy",
    "orjson",
    "jsonpatch",
    "prometheus_client",
    "requests",
    "jinja2",
}
TEST = """
def test_qa_goes_to_v2(mesh_offline):
    reply = mesh_offline({shop!r}).get("http://reviews", headers={{"x-version": "v2"}})
    assert reply.subset == "v2", reply.explain()
"""


def test_mesh_offline_works_without_unix_modules_and_without_the_libraries_of_a_cluster(tmp_path: Path, shop: Path):
    (tmp_path / "sitecustomize.py").write_text(BLOCKED.format(names=UNIX_ONLY | LIBRARIES))
    (tmp_path / "test_it.py").write_text(TEST.format(shop=str(shop)))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    program = (
        "import sys, sitecustomize; assert 'grp' in sitecustomize.FORBIDDEN; import pytest; "
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'pytest_mesh.plugin']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
