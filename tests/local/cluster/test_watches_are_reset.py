"""After a restart of the watch cache every client lists anew: an open watch ends, an old version is refused, the node follows."""

import json
import stat

from cluster_scene import SLEEP, shell
from test_pods_reach_each_other import APPS, deployment

PATH = "/api/v1/namespaces/default/configmaps"


def test_open_watches_end_with_410_and_older_versions_are_refused(scene):
    version = scene.get(PATH)["metadata"]["resourceVersion"]
    url = scene.cluster.server + PATH
    params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": 20}
    with scene.session.get(url, params=params, stream=True, timeout=20) as answer:
        reset = scene.cluster.reset_watches()
        events = [json.loads(line) for line in answer.iter_lines(chunk_size=None)]
    assert [(event["type"], event["object"]["code"], event["object"]["reason"]) for event in events] == [
        ("ERROR", 410, "Expired")
    ]
    refused = scene.session.get(url, params={**params, "timeoutSeconds": 1}, timeout=20)
    assert (refused.status_code, refused.json()["reason"]) == (410, "Expired")
    params["resourceVersion"] = reset
    with scene.session.get(url, params=params, stream=True, timeout=20) as followed:
        assert followed.status_code == 200


def test_controllers_and_the_node_follow_what_comes_after_it(space):
    space.create("deployments", deployment("before", shell(SLEEP)), prefix=APPS)
    space.scene.cluster.reset_watches()
    space.create("deployments", deployment("after", shell(SLEEP)), prefix=APPS)
    for name in ("before", "after"):
        space.scene.until(
            space.path("deployments", name, prefix=APPS), lambda one: (one["status"].get("readyReplicas") or 0) == 1
        )


def test_only_the_owner_can_ask_for_it(scene):
    # 0700: whoever cannot look into the directory cannot open the socket in it.
    assert stat.S_IMODE(scene.cluster.directory.stat().st_mode) == 0o700
    assert scene.session.post(scene.cluster.server + "/watches/reset", timeout=20).status_code == 404
