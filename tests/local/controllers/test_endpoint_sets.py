"""EndpointSlices and Endpoints as functions of a Service and its Pods."""

from pytest_mesh.clusters.local.controllers import endpoint_sets


def service(**spec):
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "uid": "service-uid", "labels": {"app": "web"}},
        "spec": {
            "clusterIP": "10.96.0.7",
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
            **spec,
        },
    }


def pod(name, address="10.244.0.5", *, ready=True, deleting=False, phase="Running", labels=None, **spec):
    metadata = {"name": name, "namespace": "shop", "uid": f"{name}-uid", "labels": labels or {"app": "web"}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"nodeName": "mesh-node", "containers": [{"ports": [{"name": "web", "containerPort": 9090}]}], **spec},
        "status": {
            "phase": phase,
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def only_endpoint(*pods, **spec):
    (found,) = endpoint_sets.slices_for(service(**spec), pods)
    (endpoint,) = found["endpoints"]
    return endpoint


def test_a_ready_pod_is_a_ready_endpoint_that_names_its_pod_and_node():
    assert only_endpoint(pod("a")) == {
        "addresses": ["10.244.0.5"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "name": "a", "namespace": "shop", "uid": "a-uid"},
        "nodeName": "mesh-node",
    }


def test_a_terminating_pod_still_serves_but_is_not_ready():
    conditions = only_endpoint(pod("a", deleting=True))["conditions"]
    assert conditions == {"ready": False, "serving": True, "terminating": True}


def test_an_unready_pod_is_listed_as_not_ready():
    assert only_endpoint(pod("a", ready=False))["conditions"]["ready"] is False


def test_publish_not_ready_addresses_makes_every_pod_ready():
    assert only_endpoint(pod("a", ready=False), publishNotReadyAddresses=True)["conditions"]["ready"] is True


def test_the_slice_carries_the_services_labels_name_and_owner():
    (found,) = endpoint_sets.slices_for(service(clusterIP="None"), [pod("a")])
    assert found["metadata"]["labels"] == {
        "app": "web",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "service.kubernetes.io/headless": "",
    }
    assert found["metadata"]["ownerReferences"][0]["uid"] == "service-uid"


def test_a_service_without_pods_has_one_slice_without_endpoints():
    (found,) = endpoint_sets.slices_for(service(), [])
    assert found["endpoints"] == []


def test_pods_that_are_over_or_have_no_address_are_left_out():
    (found,) = endpoint_sets.slices_for(service(), [pod("a", phase="Failed"), pod("b", "")])
    assert found["endpoints"] == []


def test_a_named_target_port_is_each_pods_own_number():
    other = pod("b", "10.244.0.6", containers=[{"ports": [{"name": "web", "containerPort": 7070}]}])
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    found = endpoint_sets.slices_for(service(ports=ports), [pod("a"), other])
    assert {(item["ports"][0]["port"], item["endpoints"][0]["targetRef"]["name"]) for item in found} == {
        (9090, "a"),
        (7070, "b"),
    }
    assert len({item["metadata"]["name"] for item in found}) == 2


def test_a_named_target_port_of_a_native_sidecar_counts():
    sidecar = {"restartPolicy": "Always", "ports": [{"name": "admin", "containerPort": 15090}]}
    ports = [{"name": "x", "port": 80, "targetPort": "admin"}]
    (found,) = endpoint_sets.slices_for(service(ports=ports), [pod("a", initContainers=[sidecar])])
    assert found["ports"] == [{"port": 15090, "protocol": "TCP", "name": "x"}]


def test_a_pod_that_lacks_the_named_port_is_no_endpoint():
    (found,) = endpoint_sets.slices_for(service(ports=[{"port": 80, "targetPort": "nope"}]), [pod("a")])
    assert found["endpoints"] == []


def test_hostname_is_given_when_the_subdomain_is_the_service():
    assert only_endpoint(pod("a", hostname="db-0", subdomain="web"))["hostname"] == "db-0"
    assert "hostname" not in only_endpoint(pod("a", hostname="db-0", subdomain="other"))


def test_a_slice_holds_a_hundred_endpoints_at_most():
    pods = [pod(f"p{number:03}", f"10.244.1.{number}") for number in range(150)]
    assert [len(item["endpoints"]) for item in endpoint_sets.slices_for(service(), pods)] == [100, 50]


def test_endpoints_split_ready_from_not_ready_and_leave_out_what_terminates():
    pods = [pod("a", "10.244.0.1"), pod("b", "10.244.0.2", ready=False), pod("c", "10.244.0.3", deleting=True)]
    (subset,) = endpoint_sets.endpoints_for(service(), pods)["subsets"]
    assert [entry["ip"] for entry in subset["addresses"]] == ["10.244.0.1"]
    assert [entry["ip"] for entry in subset["notReadyAddresses"]] == ["10.244.0.2"]
    assert subset["ports"] == [{"port": 8080, "protocol": "TCP", "name": "http"}]


def test_endpoints_written_by_hand_are_mirrored():
    endpoints = {
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{"addresses": [{"ip": "10.244.0.1"}], "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}],
    }
    assert endpoint_sets.is_mirrored(endpoints)
    (found,) = endpoint_sets.mirrored_slices(service(selector={}), endpoints)
    assert found["ports"] == [{"port": 53, "protocol": "UDP", "name": "dns"}]
    assert found["endpoints"] == [{"addresses": ["10.244.0.1"], "conditions": {"ready": True}}]


def test_endpoints_made_by_the_controller_or_marked_are_not_mirrored():
    made = endpoint_sets.endpoints_for(service(), [pod("a")])
    assert not endpoint_sets.is_mirrored(made)
    assert not endpoint_sets.is_mirrored(
        {"metadata": {"name": "x", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
    )


def test_what_was_written_counts_as_the_same_content():
    (wanted,) = endpoint_sets.slices_for(service(), [pod("a")])
    stored = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": "7", "annotations": {"x": "y"}}}
    assert endpoint_sets.same_content(wanted, stored)
    (other,) = endpoint_sets.slices_for(service(), [pod("a", ready=False)])
    assert not endpoint_sets.same_content(other, stored)
