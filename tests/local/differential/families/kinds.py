"""What the built-in kinds refuse: one fault in an otherwise sound object each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from families.samples import config_map, container, deployment, pod, role, role_binding, secret, service, workload
from scenes import Request, Scene, core, named, post, scene

Json = dict[str, Any]


def pods(*specs: Json) -> list[Request]:
    return [post(core("pods"), pod(f"p{index}", **spec), only=WHY) for index, spec in enumerate(specs)]


def contained(**fields: Any) -> Json:
    return {"containers": [container(**fields)]}


WHY = ("kind", "message", "reason", "code", "details")
PODS: tuple[Json, ...] = (
    {"containers": []}, {"containers": [container(), container()]}, {"containers": [{"name": "a"}]}, {"containers": [{"image": "a"}]}, contained(name="Bad"), contained(name="a" * 64), contained(image=" x"), contained(imagePullPolicy="Sometimes"),
    contained(ports=[{"containerPort": 0}]), contained(ports=[{"containerPort": 70000}]), contained(ports=[{"containerPort": 80, "protocol": "ICMP"}]), contained(ports=[{"containerPort": 80, "name": "much-too-long-name"}]), contained(ports=[{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}]), contained(ports=[{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}]),
    contained(env=[{"name": ""}]), contained(env=[{"name": "A=B"}]), contained(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]), contained(env=[{"name": "A", "valueFrom": {}}]), contained(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nothing"}}}]), contained(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]), contained(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"key": "k"}}}]),
    contained(envFrom=[{}]), contained(envFrom=[{"prefix": "a=", "configMapRef": {"name": "x"}}]),
    contained(volumeMounts=[{"name": "none", "mountPath": "/a"}]), contained(volumeMounts=[{"name": "v"}]), {"volumes": [{"name": "v"}], **contained(volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}])}, {"volumes": [{"name": "v"}], **contained(volumeMounts=[{"name": "v", "mountPath": "/a", "subPath": "../x"}])},
    {"volumes": [{"name": "v"}, {"name": "v"}]}, {"volumes": [{"name": "V"}]}, {"volumes": [{}]}, {"volumes": [{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]}, {"volumes": [{"name": "v", "secret": {}}]}, {"volumes": [{"name": "v", "configMap": {}}]}, {"volumes": [{"name": "v", "hostPath": {"path": "../x"}}]}, {"volumes": [{"name": "v", "hostPath": {"path": "/x", "type": "Odd"}}]},
    {"volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "../p"}]}}]}, {"volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 1000}}]}, {"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "p"}]}}]}, {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "p", "expirationSeconds": 5}}]}}]},
    contained(livenessProbe={}), contained(livenessProbe={"httpGet": {"port": 0}}), contained(livenessProbe={"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}), contained(readinessProbe={"exec": {}}), contained(livenessProbe={"tcpSocket": {"port": 80}, "successThreshold": 2}), contained(livenessProbe={"tcpSocket": {"port": 80}, "periodSeconds": -1}), contained(livenessProbe={"httpGet": {"port": 80, "scheme": "ftp"}}), contained(readinessProbe={"tcpSocket": {"port": "Bad Name"}}),
    contained(lifecycle={"preStop": {}}), contained(lifecycle={"postStart": {"exec": {"command": []}}}), contained(resources={"limits": {"cpu": "x"}}), contained(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}), contained(resources={"limits": {"memory": "-1"}}), contained(resources={"limits": {"nothing": "1"}}), contained(resources={"requests": {"cpu": 1.5}}), contained(resources={"limits": {"memory": "1.5Gi"}}),
    contained(securityContext={"privileged": True, "allowPrivilegeEscalation": False}), contained(securityContext={"runAsUser": -1}), contained(terminationMessagePolicy="Odd"), {"restartPolicy": "Odd"}, {"dnsPolicy": "Odd"}, {"dnsPolicy": "None"}, {"terminationGracePeriodSeconds": -1}, {"activeDeadlineSeconds": 0}, {"nodeName": "Bad_Node"}, {"nodeSelector": {"a b": "c"}}, {"serviceAccountName": "Bad_Name"}, {"serviceAccountName": "none"},
    {"hostname": "Bad_Host"}, {"subdomain": "a.b"}, {"hostAliases": [{"ip": "x"}]}, {"tolerations": [{"key": "a", "operator": "Odd"}]}, {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, {"tolerations": [{"operator": "Equal", "value": "b"}]}, {"initContainers": [container()]}, {"initContainers": [container(name="i", readinessProbe={"tcpSocket": {"port": 1}})]}, {"initContainers": [container(name="i", restartPolicy="Always")]}, {"initContainers": [container(name="i", restartPolicy="Never")]},
    {"ephemeralContainers": [{"name": "e", "image": "e"}]}, {"imagePullSecrets": [{}]}, {"schedulerName": "Bad Name"}, {"priorityClassName": "none"}, {"priority": 5}, {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}}, {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}]}, {"securityContext": {"sysctls": [{"name": "Bad Name", "value": "1"}]}}, {"securityContext": {"fsGroup": -5}},
    {"hostNetwork": True, **contained(ports=[{"containerPort": 80, "hostPort": 81}])}, {"readinessGates": [{"conditionType": "bad type"}]}, {"dnsConfig": {"nameservers": ["x"]}}, {"shareProcessNamespace": True, "hostPID": True}, {"automountServiceAccountToken": "x"}, {"overhead": {"cpu": "1"}}, {"runtimeClassName": "none"}, {"os": {"name": "odd"}}, {"setHostnameAsFQDN": True}, {"hostPID": True, "hostIPC": True},
)  # fmt: skip
SERVICES: tuple[Json, ...] = (
    {"ports": []}, {"ports": [{}]}, {"ports": [{"port": 0}]}, {"ports": [{"port": 70000}]}, {"ports": [{"port": 80, "protocol": "X"}]}, {"ports": [{"port": 80}, {"port": 81}]}, {"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}, {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80}]}, {"ports": [{"name": "A", "port": 80}]}, {"ports": [{"port": 80, "targetPort": 0}]}, {"ports": [{"port": 80, "targetPort": "Bad Name"}]}, {"ports": [{"port": 80, "targetPort": 99999}]},
    {"type": "Odd"}, {"type": "ExternalName"}, {"type": "ExternalName", "externalName": "Bad_Name"}, {"type": "ExternalName", "externalName": "a.example", "clusterIP": "10.96.0.9"}, {"clusterIP": "x"}, {"clusterIP": "10.200.0.1"}, {"clusterIP": "None", "type": "NodePort"}, {"sessionAffinity": "Odd"}, {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}, {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, {"externalTrafficPolicy": "Local"}, {"type": "NodePort", "externalTrafficPolicy": "Odd"}, {"internalTrafficPolicy": "Odd"},
    {"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}, {"ports": [{"port": 80, "nodePort": 30080}]}, {"externalIPs": ["x"]}, {"externalIPs": ["127.0.0.1"]}, {"loadBalancerSourceRanges": ["10.0.0.0/8"]}, {"type": "LoadBalancer", "loadBalancerSourceRanges": ["x"]}, {"selector": {"a b": "c"}}, {"ipFamilies": ["IPv6"]}, {"ipFamilyPolicy": "Odd"}, {"ipFamilyPolicy": "RequireDualStack"}, {"publishNotReadyAddresses": "x"}, {"ports": [{"port": 80, "appProtocol": "bad protocol"}]}, {"trafficDistribution": "Odd"}, {"loadBalancerClass": "a"}, {"clusterIPs": ["10.96.1.1", "10.96.1.2"]}, {"healthCheckNodePort": 31000}, {"allocateLoadBalancerNodePorts": True},
    {"type": "NodePort", "clusterIP": "10.96.0.1"},
)  # fmt: skip
WORKLOADS: tuple[Json, ...] = (
    {"selector": None}, {"selector": {}}, {"selector": {"matchLabels": {"app": "other"}}}, {"selector": {"matchLabels": {"a b": "c"}}}, {"selector": {"matchExpressions": [{"key": "app", "operator": "Odd"}]}}, {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}, {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["a"]}]}},
    {"template": None}, {"template": {"metadata": {"labels": {"app": "one"}}, "spec": {}}}, {"pod_spec": {"containers": [container()], "restartPolicy": "Never"}}, {"pod_spec": {"containers": [container()], "activeDeadlineSeconds": 5}}, {"pod_spec": {"containers": [{"name": "a"}]}}, {"minReadySeconds": -1},
)  # fmt: skip
DEPLOYMENTS: tuple[Json, ...] = (
    {"replicas": -1}, {"replicas": "x"}, {"strategy": {"type": "Odd"}}, {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}, {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}, {"strategy": {"rollingUpdate": {"maxSurge": "x"}}}, {"strategy": {"rollingUpdate": {"maxUnavailable": "150%"}}}, {"revisionHistoryLimit": -1}, {"progressDeadlineSeconds": 0}, {"progressDeadlineSeconds": 5, "minReadySeconds": 5}, {"paused": True},
)  # fmt: skip
TEMPLATE = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
OTHERS: tuple[tuple[str, str, Json], ...] = (
    ("apps/v1", "statefulsets", {"serviceName": "a", "podManagementPolicy": "Odd"}), ("apps/v1", "statefulsets", {"serviceName": "a", "updateStrategy": {"type": "Odd"}}), ("apps/v1", "statefulsets", {"replicas": -1}), ("apps/v1", "daemonsets", {"updateStrategy": {"type": "Odd"}}), ("apps/v1", "daemonsets", {"selector": {"matchLabels": {"app": "other"}}}), ("apps/v1", "replicasets", {"replicas": -1}), ("apps/v1", "replicasets", {"selector": {}}),
    ("batch/v1", "jobs", {"template": {"spec": {"containers": [container()]}}}), ("batch/v1", "jobs", {"template": TEMPLATE, "completions": -1}), ("batch/v1", "jobs", {"template": TEMPLATE, "parallelism": -1}), ("batch/v1", "jobs", {"template": TEMPLATE, "backoffLimit": -1}), ("batch/v1", "jobs", {"template": TEMPLATE, "completionMode": "Odd"}), ("batch/v1", "jobs", {"template": TEMPLATE, "selector": {"matchLabels": {"a": "b"}}}), ("batch/v1", "jobs", {}),
    ("batch/v1", "cronjobs", {"schedule": "x", "jobTemplate": {"spec": {"template": TEMPLATE}}}), ("batch/v1", "cronjobs", {"schedule": "* * * * *", "concurrencyPolicy": "Odd", "jobTemplate": {"spec": {"template": TEMPLATE}}}), ("batch/v1", "cronjobs", {"schedule": "* * * * *", "timeZone": "Odd/Zone", "jobTemplate": {"spec": {"template": TEMPLATE}}}),
    ("networking.k8s.io/v1", "ingresses", {}), ("networking.k8s.io/v1", "ingresses", {"rules": [{"host": "Bad Host"}]}), ("networking.k8s.io/v1", "ingresses", {"rules": [{"host": "*.a.example", "http": {"paths": []}}]}), ("networking.k8s.io/v1", "ingresses", {"rules": [{"http": {"paths": [{"path": "x", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 1}}}}]}}]}), ("networking.k8s.io/v1", "ingresses", {"rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "a", "port": {"number": 1}}}}]}}]}), ("networking.k8s.io/v1", "ingresses", {"defaultBackend": {}}), ("networking.k8s.io/v1", "ingresses", {"defaultBackend": {"service": {"name": "a"}}}), ("networking.k8s.io/v1", "ingresses", {"defaultBackend": {"service": {"name": "a", "port": {"number": 80, "name": "x"}}}}), ("networking.k8s.io/v1", "ingresses", {"tls": [{"hosts": ["Bad Host"]}], "defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}),
    ("networking.k8s.io/v1", "networkpolicies", {"podSelector": {}, "ingress": [{"from": [{}]}]}), ("networking.k8s.io/v1", "networkpolicies", {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "x"}}]}]}), ("networking.k8s.io/v1", "networkpolicies", {"podSelector": {}, "policyTypes": ["Odd"]}), ("networking.k8s.io/v1", "networkpolicies", {"podSelector": {}, "ingress": [{"ports": [{"port": 0}]}]}),
    ("policy/v1", "poddisruptionbudgets", {"minAvailable": 1, "maxUnavailable": 1}), ("policy/v1", "poddisruptionbudgets", {"minAvailable": -1}), ("policy/v1", "poddisruptionbudgets", {"minAvailable": "x"}), ("policy/v1", "poddisruptionbudgets", {"minAvailable": 1, "unhealthyPodEvictionPolicy": "Odd"}),
    ("autoscaling/v2", "horizontalpodautoscalers", {"maxReplicas": 0, "scaleTargetRef": {"kind": "Deployment", "name": "a"}}), ("autoscaling/v2", "horizontalpodautoscalers", {"maxReplicas": 1, "minReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "a"}}), ("autoscaling/v2", "horizontalpodautoscalers", {"maxReplicas": 1, "scaleTargetRef": {}}), ("autoscaling/v2", "horizontalpodautoscalers", {"maxReplicas": 1, "minReplicas": 0, "scaleTargetRef": {"kind": "Deployment", "name": "a"}}), ("autoscaling/v2", "horizontalpodautoscalers", {"maxReplicas": 1, "metrics": [{"type": "Odd"}], "scaleTargetRef": {"kind": "Deployment", "name": "a"}}),
    ("coordination.k8s.io/v1", "leases", {"leaseDurationSeconds": 0}), ("coordination.k8s.io/v1", "leases", {"leaseTransitions": -1}), ("coordination.k8s.io/v1", "leases", {"renewTime": "x"}), ("coordination.k8s.io/v1", "leases", {"renewTime": "2020-01-01T00:00:00.5Z"}),
)  # fmt: skip
SLICES: tuple[Json, ...] = (
    {"addressType": ""}, {"addressType": "Odd"}, {"endpoints": [{"addresses": []}]}, {"endpoints": [{"addresses": ["x"]}]}, {"endpoints": [{"addresses": ["2001:db8::1"]}]}, {"addressType": "IPv6", "endpoints": [{"addresses": ["2001:db8::1"]}]}, {"addressType": "FQDN", "endpoints": [{"addresses": ["Bad_Name"]}]}, {"ports": [{"port": 80}, {"port": 81}]}, {"ports": [{"name": "Bad Name", "port": 80}]}, {"ports": [{"port": 80, "protocol": "X"}]}, {"ports": [{"port": -1}]}, {"endpoints": [{"addresses": ["127.0.0.1"]}]}, {"endpoints": [{"addresses": ["10.0.0.1"], "hostname": "Bad Host"}]}, {"endpoints": [{"addresses": ["10.0.0.1"], "deprecatedTopology": {"kubernetes.io/hostname": "a"}}]},
)  # fmt: skip
HOOK = {
    "name": "a.b.example",
    "clientConfig": {"url": "https://a.example/x"},
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
    "rules": [{"apiGroups": ["none.example"], "apiVersions": ["v1"], "resources": ["nones"], "operations": ["CREATE"]}],
}
HOOKS: tuple[Json, ...] = (
    {}, {"name": "a"}, {"name": ""}, {"sideEffects": None}, {"sideEffects": "Some"}, {"admissionReviewVersions": []}, {"admissionReviewVersions": ["v9"]}, {"admissionReviewVersions": ["v1", "v9"]}, {"clientConfig": {}}, {"clientConfig": {"url": "http://a.example"}}, {"clientConfig": {"url": "https://a.example", "service": {"name": "a", "namespace": "b"}}}, {"clientConfig": {"service": {"name": "a"}}}, {"clientConfig": {"service": {"name": "a", "namespace": "b", "path": "x"}}}, {"clientConfig": {"service": {"name": "a", "namespace": "b", "port": 0}}}, {"clientConfig": {"url": "https://user@a.example/?q=1"}},
    {"timeoutSeconds": 31}, {"timeoutSeconds": 0}, {"failurePolicy": "Odd"}, {"matchPolicy": "Odd"}, {"rules": [{"operations": ["CREATE"]}]}, {"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["EAT"]}]}, {"rules": [{"apiGroups": ["*", "a"], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]}, {"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["*/*", "pods"], "operations": ["CREATE"]}]}, {"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "Odd"}]},
    {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}}, {"objectSelector": {"matchLabels": {"a b": "c"}}}, {"matchConditions": [{"name": "a", "expression": "("}]}, {"matchConditions": [{"name": "", "expression": "true"}]}, {"matchConditions": [{"name": "a", "expression": "'x'"}]}, {"matchConditions": [{"name": "a", "expression": "true"}, {"name": "a", "expression": "true"}]},
)  # fmt: skip


def scenes() -> Iterator[Scene]:
    yield scene("kinds", "pods", *pods(*PODS))
    yield scene(
        "kinds",
        "services",
        *(post(core("services"), service(f"s{index}", **spec), only=WHY) for index, spec in enumerate(SERVICES)),
    )
    yield scene(
        "kinds",
        "deployments",
        *(
            post(named("apps/v1", "deployments"), deployment(f"d{index}", **spec), only=WHY)
            for index, spec in enumerate(WORKLOADS + DEPLOYMENTS)
        ),
    )
    found = []
    for index, (group, plural, spec) in enumerate(OTHERS):
        body: Json = {"metadata": {"name": f"o{index}"}, "spec": spec}
        if group == "apps/v1":
            kind = {"statefulsets": "StatefulSet", "daemonsets": "DaemonSet", "replicasets": "ReplicaSet"}[plural]
            body = workload(kind, f"o{index}", **spec)
        found.append(post(named(group, plural), body, only=WHY))
    yield scene("kinds", "others", *found)
    yield scene(
        "kinds",
        "slices",
        *(
            post(
                named("discovery.k8s.io/v1", "endpointslices"),
                {"metadata": {"name": f"e{index}"}, "addressType": "IPv4", "endpoints": [], "ports": [], **more},
                only=WHY,
            )
            for index, more in enumerate(SLICES)
        ),
    )
    for kind, plural in (
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ):
        yield scene(
            "kinds",
            plural[:4] + "-hooks",
            *(
                post(
                    f"/apis/admissionregistration.k8s.io/v1/{plural}?dryRun=All",
                    {
                        "apiVersion": "admissionregistration.k8s.io/v1",
                        "kind": kind,
                        "metadata": {"name": f"{plural[:4]}{index}"},
                        "webhooks": [{**HOOK, **more}],
                    },
                    only=WHY,
                )
                for index, more in enumerate(HOOKS[: None if kind[0] == "V" else 6])
            ),
        )
    rules = (
        [{}],
        [{"verbs": ["get"]}],
        [{"apiGroups": [""], "resources": ["pods"], "verbs": []}],
        [{"apiGroups": [""], "resources": ["pods"]}],
        [{"nonResourceURLs": ["/x"], "verbs": ["get"]}],
        [{"apiGroups": [""], "resources": [], "verbs": ["get"]}],
    )
    bindings: tuple[Json, ...] = (
        {"roleRef": {}},
        {"roleRef": {"kind": "Odd", "name": "a", "apiGroup": "rbac.authorization.k8s.io"}},
        {"roleRef": {"kind": "Role", "name": "a", "apiGroup": "odd"}},
        {"subjects": [{}]},
        {"subjects": [{"kind": "ServiceAccount", "name": "a"}]},
        {"subjects": [{"kind": "ServiceAccount", "name": "Bad Name", "namespace": "a"}]},
        {"subjects": [{"kind": "User", "name": ""}]},
        {"subjects": [{"kind": "Odd", "name": "a"}]},
        {"subjects": [{"kind": "User", "name": "a", "apiGroup": "odd"}]},
    )
    yield scene("kinds", "rights", *(post(named("rbac.authorization.k8s.io/v1", "roles"), role(f"r{index}", rule), only=WHY) for index, rule in enumerate(rules)),
                *(post(named("rbac.authorization.k8s.io/v1", "rolebindings"), role_binding(f"b{index}", **more), only=WHY) for index, more in enumerate(bindings)))  # fmt: skip
    maps: tuple[Json, ...] = (
        {"data": {"a b": "x"}},
        {"data": {"": "x"}},
        {"data": {"..": "x"}},
        {"data": {"a": "x"}, "binaryData": {"a": "MQ=="}},
        {"binaryData": {"a": "?"}},
        {"data": {"a" * 254: "x"}},
        {"data": {"a/b": "x"}},
    )
    secrets: tuple[Json, ...] = (
        {"type": "kubernetes.io/tls"},
        {"type": "kubernetes.io/service-account-token"},
        {"type": "kubernetes.io/dockerconfigjson"},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "MQ=="}},
        {"type": "kubernetes.io/basic-auth"},
        {"type": "kubernetes.io/ssh-auth"},
        {"type": "my.example/type"},
        {"data": {"a b": "MQ=="}},
        {"data": {"a": "?"}},
        {"stringData": {"a b": "x"}},
        {"type": "bootstrap.kubernetes.io/token"},
    )
    yield scene("kinds", "configuration", *(post(core("configmaps"), {**config_map(f"c{index}", {}), **more}, only=WHY) for index, more in enumerate(maps)), *(post(core("secrets"), secret(f"s{index}", **more), only=WHY) for index, more in enumerate(secrets)),
                *(post(core("endpoints"), {"metadata": {"name": f"e{index}"}, "subsets": [more]}, only=WHY) for index, more in enumerate(({}, {"addresses": [{"ip": "x"}]}, {"addresses": [{"ip": "127.0.0.1"}]}, {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 0}]}, {"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}, {"port": 2}]}))),
                *(post("/api/v1/namespaces", {"metadata": {"name": name}}, only=WHY) for name in ("Bad_Name", "a.b", "a" * 64)), *(post(core("serviceaccounts"), {"metadata": {"name": name}}, only=WHY) for name in ("Bad_Name", "a.b")),
                *(post(core("events"), {"metadata": {"name": f"e{index}"}, **more}, only=WHY) for index, more in enumerate(({}, {"involvedObject": {"namespace": "other"}}, {"involvedObject": {"namespace": "$ns"}, "type": "Odd"}))))  # fmt: skip
