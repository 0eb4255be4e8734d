"""Watches: events, selectors, bookmarks, initial events, forms, versions that are gone."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map
from scenes import PARTIAL, TABLE, Scene, core, delete, get, merge, post, scene

MAPS = core("configmaps")
ONE = core("configmaps", "one")


def scenes() -> Iterator[Scene]:
    first = post(MAPS, config_map(labels={"app": "a"}), keep={"rv": "metadata.resourceVersion"})
    yield scene(
        "watching", "events", first, merge(ONE, {"data": {"a": "2"}}), merge(ONE, {"metadata": {"labels": {"app": "b"}}}), merge(ONE, {"metadata": {"labels": {"app": "a"}}}), delete(ONE),
        get(f"{MAPS}?watch=true&resourceVersion=$rv", events=4), get(f"{MAPS}?watch=1&resourceVersion=$rv&labelSelector=app%3Da", events=4), get(f"{MAPS}?watch=true&resourceVersion=$rv&labelSelector=app%3Db", events=2),
        get(f"{MAPS}?watch=true&resourceVersion=$rv&fieldSelector=metadata.name%3Done", events=4, accept=PARTIAL),
        get(f"{MAPS}?watch=true&resourceVersion=$rv&fieldSelector=metadata.name%3Done", events=4, accept=TABLE), get(f"{ONE}?watch=true&resourceVersion=$rv", events=2),
    )  # fmt: skip
    yield scene(
        "watching", "initial", post(MAPS, config_map("one")), post(MAPS, config_map("two")), get(f"{MAPS}?watch=true", events=2), get(f"{MAPS}?watch=true&resourceVersion=0", events=2),
        get(f"{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", events=3),
        get(f"{MAPS}?watch=true&sendInitialEvents=true", events=1), get(f"{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=Exact", events=1), get(f"{MAPS}?watch=true&resourceVersionMatch=NotOlderThan", events=1),
        get(f"{MAPS}?watch=true&sendInitialEvents=false", events=1), get(f"{MAPS}?watch=true&resourceVersion=x", events=1), get(f"{MAPS}?watch=true&labelSelector=(", events=1), get(f"{MAPS}?watch=true&fieldSelector=no%3D1", events=1),
        get(f"{MAPS}?watch=true&timeoutSeconds=x", events=1),
    )  # fmt: skip
