"""Create: names, generateName, namespaces, dry run, unknown and twice-given fields, the defaults of each kind."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map, container, deployment, pod, role, role_binding, secret, service, workload
from scenes import YAML, Request, Scene, core, get, named, post, put, scene

NAMES = ("one", "One", "a_b", "-a", "a" * 254, "a.b-c", "", "a..b", "a/b", "x" * 253, "1")


def without_name(**metadata: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def scenes() -> Iterator[Scene]:
    maps = core("configmaps")
    yield scene("creating", "names", *(post(maps, config_map(name)) for name in NAMES))
    yield scene(
        "creating",
        "service-names",
        *(post(core("services"), service(name)) for name in ("a", "1a", "A", "a.b", "a" * 64)),
    )
    yield scene(
        "creating", "metadata",
        post(maps, config_map()), post(maps, config_map()),
        post(maps, without_name(generateName="made-")), post(maps, without_name(generateName="Bad_")), post(maps, without_name()),
        post(maps, {"data": {"a": "b"}}), post(maps, {"metadata": {"name": "bare"}}),
        post(maps, config_map("other", namespace="elsewhere")), post(maps, config_map("same", namespace="$ns")),
        post(maps, config_map("version", resourceVersion="5")), post(maps, config_map("uid", uid="mine")),
        post(maps, config_map("old", creationTimestamp="2001-01-01T00:00:00Z")),
        post(maps, config_map("generation", generation=7)), post(maps, config_map("gone", deletionTimestamp="2001-01-01T00:00:00Z")),
        post(maps, config_map("labels", labels={"a": "not/valid"})), post(maps, config_map("labels", labels={"a/b/c": "x"})),
        post(maps, config_map("labels", labels={"": "x"})), post(maps, config_map("labels", labels={"a": "x" * 64})),
        post(maps, config_map("labels", labels={"a": 5})), post(maps, config_map("labels", labels=["a"])),
        post(maps, config_map("notes", annotations={"a b": "x"})), post(maps, config_map("notes", annotations={"a": None})),
        post(maps, config_map("ends", finalizers=["a.example/b"])), post(maps, config_map("ends2", finalizers=["nodomain"])),
        post(maps, config_map("ends3", finalizers=["a b"])),
        post(maps, config_map("owned", ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}])),
        post(maps, config_map("owned2", ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "a"}])),
        post(maps, config_map("owned3", ownerReferences=[
            {"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in ("a", "b")])),
        post(maps, config_map("owned4", ownerReferences=[{"apiVersion": "v1/x/y", "kind": "Pod", "name": "a", "uid": "u"}])),
        post(maps, config_map("managed", managedFields=[{"manager": "x", "operation": "Nothing"}])),
        post("/api/v1/namespaces/nowhere/configmaps", config_map()),
        post(maps, {**config_map("kind"), "kind": "Secret"}), post(maps, {**config_map("version"), "apiVersion": "v2"}),
        post(maps, {**config_map("kind"), "kind": "Nothing"}), post(maps, {**config_map("group"), "apiVersion": "apps/v1"}),
        post(maps, {**config_map("unknown"), "nothing": 1}),
    )  # fmt: skip
    yield scene(
        "creating", "dry-run",
        post(f"{maps}?dryRun=All", config_map()), get(f"{maps}/one"), post(f"{maps}?dryRun=Some", config_map()),
        post(f"{maps}?dryRun=All&dryRun=All", config_map()), post(f"{maps}?dryRun=", config_map()),
        put(f"{maps}/one?dryRun=All", config_map(data={"a": "2"})), get(f"{maps}/one"),
        post(f"{core('services')}?dryRun=All", service(), only=("kind", "metadata.name", "spec.type", "spec.ports")),
    )  # fmt: skip
    odd = {**config_map("odd"), "nothing": 1, "metadata": {"name": "odd", "no": {"such": 1}}}
    twice = (
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"twice"},"data":{"a":"1","a":"2"},"data":{"b":"1"}}'
    )
    deep = pod(
        "deep", [container(imagee="x", ports=[{"containerPort": 80, "no": 1}], env=[{"name": "A", "valu": "b"}])]
    )
    found: list[Request] = []
    for mode in ("Strict", "Warn", "Ignore", ""):
        query = f"?fieldValidation={mode}&dryRun=All" if mode else "?dryRun=All"
        found += [
            post(maps + query, odd),
            post(maps + query, twice),
            post(
                core("pods") + query,
                deep,
                only=("kind", "message", "reason", "code", "details", "spec.containers[].ports"),
            ),
        ]
        found += [
            post(
                maps + query,
                "kind: ConfigMap\napiVersion: v1\nmetadata: {name: y}\ndata: {a: x, a: z}\nno: 1\n",
                content_type=YAML,
            )
        ]
    yield scene("creating", "strictness", *found, post(f"{maps}?fieldValidation=Sometimes", config_map()))
    for plural, body in (
        ("pods", pod()), ("services", service()), ("secrets", secret()),
        ("pods", pod("rich", [container(
            ports=[{"containerPort": 80}], livenessProbe={"httpGet": {"port": 80}}, readinessProbe={"tcpSocket": {"port": 80}},
            startupProbe={"grpc": {"port": 80}}, lifecycle={"preStop": {"httpGet": {"port": 80}}},
            env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "B", "value": ""}],
            resources={"limits": {"cpu": "1000m", "memory": "1024Mi"}}, image="busybox", securityContext={"runAsUser": 5})],
            volumes=[{"name": "a"}, {"name": "b", "configMap": {"name": "x"}}, {"name": "c", "secret": {"secretName": "x"}},
                     {"name": "d", "hostPath": {"path": "/x"}}, {"name": "e", "downwardAPI": {"items": [
                         {"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                     {"name": "f", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
            initContainers=[container(name="first", image="a@sha256:" + "0" * 64)], securityContext={"fsGroup": 1},
            tolerations=[{"key": "k", "operator": "Exists"}], automountServiceAccountToken=False)),
        ("pods", pod("host", [container(ports=[{"containerPort": 80}])], hostNetwork=True)),
        ("services", service("headless", clusterIP="None")), ("services", service("node", type="NodePort")),
        ("services", service("balanced", type="LoadBalancer")), ("services", service("outside", type="ExternalName", externalName="a.example", ports=[])),
        ("services", service("sticky", sessionAffinity="ClientIP")), ("services", service("two", ports=[{"name": "a", "port": 1}, {"name": "b", "port": 2, "protocol": "UDP"}])),
        ("services", service("fixed", clusterIP="10.96.77.7")),
        ("secrets", secret("text", stringData={"b": "2", "a": "3"})), ("secrets", secret("tls", type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""})),
        ("serviceaccounts", {"metadata": {"name": "account"}}), ("configmaps", {"metadata": {"name": "bytes"}, "binaryData": {"a": "MQ=="}, "immutable": True}),
        ("endpoints", {"metadata": {"name": "ends"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
        ("events", {"metadata": {"name": "event"}, "involvedObject": {"kind": "Pod", "namespace": "$ns", "name": "a"}, "reason": "r", "message": "m", "type": "Normal"}),
    ):  # fmt: skip
        yield scene("creating", f"{plural}-{body['metadata']['name']}", post(core(plural), body))
    rule = {
        "host": "a.example",
        "http": {
            "paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 80}}}}
            ]
        },
    }
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    for group, plural, body in (
        ("apps/v1", "deployments", deployment()), ("apps/v1", "replicasets", workload("ReplicaSet")),
        ("apps/v1", "statefulsets", workload("StatefulSet", serviceName="one")), ("apps/v1", "daemonsets", workload("DaemonSet")),
        ("batch/v1", "jobs", {"metadata": {"name": "one"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container()]}}}}),
        ("batch/v1", "cronjobs", {"metadata": {"name": "one"}, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container()]}}}}}}),
        ("networking.k8s.io/v1", "ingresses", {"metadata": {"name": "one"}, "spec": {"rules": [rule]}}),
        ("networking.k8s.io/v1", "networkpolicies", {"metadata": {"name": "one"}, "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]}}),
        ("policy/v1", "poddisruptionbudgets", {"metadata": {"name": "one"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}}),
        ("autoscaling/v2", "horizontalpodautoscalers", {"metadata": {"name": "one"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "one"}, "metrics": [metric]}}),
        ("coordination.k8s.io/v1", "leases", {"metadata": {"name": "one"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}),
        ("discovery.k8s.io/v1", "endpointslices", {"metadata": {"name": "one"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}),
        ("rbac.authorization.k8s.io/v1", "roles", role()), ("rbac.authorization.k8s.io/v1", "rolebindings", role_binding()),
        ("events.k8s.io/v1", "events", {"metadata": {"name": "one"}, "eventTime": "2020-01-01T00:00:00.000000Z", "action": "a", "reason": "r", "type": "Normal", "reportingController": "a.example/c", "reportingInstance": "i", "regarding": {"kind": "Pod", "namespace": "$ns", "name": "a"}}),
    ):  # fmt: skip
        yield scene("creating", f"{plural}-{group.split('/')[0].replace('.', '-')}", post(named(group, plural), body))
