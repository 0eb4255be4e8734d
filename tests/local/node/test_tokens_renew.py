"""A service account's token in a volume is replaced before it ends, and not before it is time."""

import asyncio

from pytest_mesh.clusters.local.node import volumes
from pytest_mesh.clusters.local.node.volumes import PodVolumes

SOURCE = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600, "audience": "istio-ca"}}
POD = {
    "metadata": {"name": "one", "namespace": "shop", "uid": "u"},
    "spec": {"containers": [{"name": "a"}], "volumes": [{"name": "t", "projected": {"sources": [SOURCE]}}]},
}


def test_a_token_is_renewed_at_four_fifths_of_its_life(tmp_path, monkeypatch):
    clock, asked = [1000.0], []
    monkeypatch.setattr(volumes.time, "time", lambda: clock[0])

    async def request(spec):
        asked.append(spec)
        return {"status": {"token": f"token {len(asked)}"}}

    async def fetch(_kind, _name):
        return None

    async def read(held, at):
        clock[0] = at
        await held.update(POD)
        return (tmp_path / "t/token").read_text()

    async def scenario():
        held = PodVolumes(tmp_path, fetch=fetch, request_token=request, allocatable={})
        first = [await read(held, at) for at in (1000.0, 1479.0)]
        due = held.renew_at
        return first, due, await read(held, 1480.0), held.renew_at

    first, due, second, after = asyncio.run(scenario())
    assert (first, due) == (["token 1", "token 1"], 1480.0)
    assert (second, after) == ("token 2", 1960.0)
    assert {spec["expirationSeconds"] for spec in asked} == {600}
    assert asked[0]["boundObjectRef"]["uid"] == "u"
