"""What garbage collection owes an object."""

from pytest_mesh.clusters.local.controllers.discovery import ApiResource
from pytest_mesh.clusters.local.controllers.garbage_graph import FOREGROUND, ORPHAN, Graph, decide, node_of

THINGS = ApiResource(group="", version="v1", plural="things", kind="Thing", namespaced=True, verbs=frozenset())


def node(uid, *owners, finalizers=(), deleting=False, blocks=True):
    metadata = {
        "uid": uid,
        "name": uid,
        "namespace": "shop",
        "finalizers": list(finalizers),
        "ownerReferences": [
            {"uid": owner, "apiVersion": "v1", "kind": "Thing", "name": owner, "blockOwnerDeletion": blocks}
            for owner in owners
        ],
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return node_of(THINGS, {"metadata": metadata})


def test_an_object_whose_owners_are_all_gone_is_deleted():
    assert decide(node("child", "a", "b"), [], {"a": "absent", "b": "absent"}).delete == "Background"


def test_an_object_with_one_owner_left_only_loses_the_reference_to_the_other():
    action = decide(node("child", "a", "b"), [], {"a": "absent", "b": "solid"})
    assert (action.delete, action.disown) == ("", {"a"})


def test_an_object_without_owners_is_left_alone():
    assert decide(node("alone"), [], {}) == decide(node("child", "a"), [], {"a": "solid"})
    assert decide(node("alone"), [], {}).delete == ""


def test_foreground_deletion_waits_for_dependents_that_block():
    owner = node("owner", finalizers=[FOREGROUND], deleting=True)
    waiting = decide(owner, [node("child", "owner")], {})
    assert (waiting.finalizer, waiting.visit) == ("", ("child",))
    assert decide(owner, [node("child", "owner", blocks=False)], {}).finalizer == FOREGROUND
    assert decide(owner, [], {}).finalizer == FOREGROUND


def test_a_dependent_of_a_waiting_owner_goes_in_the_foreground_when_it_has_dependents_itself():
    assert decide(node("child", "owner"), [], {"owner": "waiting"}).delete == "Background"
    assert decide(node("child", "owner"), [node("x", "child")], {"owner": "waiting"}).delete == "Foreground"


def test_orphaning_strikes_the_owner_from_its_dependents():
    child = node("child", "owner")
    action = decide(node("owner", finalizers=[ORPHAN], deleting=True), [child], {})
    assert (action.orphan, action.finalizer, action.delete) == ((child,), ORPHAN, "")


def test_the_deletion_of_an_owner_calls_for_its_dependents():
    graph = Graph()
    graph.put(node("owner"))
    assert graph.put(node("child", "owner")) == {"child"}
    assert graph.remove("owner") == {"child"}


def test_the_deletion_of_a_dependent_calls_for_the_owner_that_waits():
    graph = Graph()
    graph.put(node("child", "owner"))
    assert graph.put(node("owner", finalizers=[FOREGROUND], deleting=True)) == {"owner"}
    assert graph.remove("child") == {"owner"}


def test_an_object_that_loses_its_owner_reference_is_no_dependent_any_more():
    graph = Graph()
    graph.put(node("child", "owner"))
    graph.put(node("child"))
    assert graph.dependents("owner") == ()
