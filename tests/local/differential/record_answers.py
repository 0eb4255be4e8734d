"""Records a real kube-apiserver's answers as goldens: ``make kubernetes-goldens`` (MESH_KUBE_APISERVER, MESH_ETCD).

Grows the grown requests anew, so that recording is the one time that hypothesis runs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import catalogue
from families import grown
from real_server import kube_apiserver
from scenes import get, scene
from sending import Sender


def test_a_real_server_answers_every_request(tmp_path):
    if not {"MESH_KUBE_APISERVER", "MESH_ETCD"} <= os.environ.keys():
        pytest.fail("MESH_KUBE_APISERVER and MESH_ETCD do not name the two programs")
    catalogue.keep(grown.grow())
    rows: dict[str, list[str]] = {}
    with kube_apiserver(tmp_path) as (url, token):
        sender = Sender(url, token)
        (version,) = sender.run(scene("server", "version", get("/version"), namespace=False))
        for one in catalogue.everything():
            for answer in sender.run(one):
                row = json.dumps([f"{one.family}/{one.name}", *answer.to_json()], separators=(",", ":"), sort_keys=True)
                rows.setdefault(one.family, []).append(row)
        sender.close()
    kept = {name: version.body[name] for name in ("gitVersion", "gitCommit", "goVersion", "platform")}
    (catalogue.GOLDENS / "server.json").write_text(json.dumps(kept, indent=1) + "\n")
    for family, lines in rows.items():
        (catalogue.GOLDENS / f"{family}.jsonl").write_text("\n".join(lines) + "\n")
