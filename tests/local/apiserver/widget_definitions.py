"""The custom resource of these tests: a schema with every keyword that the server judges."""

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/tests.example/v1/namespaces/default/widgets"


def definition(plural, kind, spec_schema, versions=("v1", "v1beta1", "v1alpha3"), **fields):
    schema = {
        "openAPIV3Schema": {
            "type": "object",
            "properties": {
                "spec": spec_schema,
                "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
            },
        }
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.tests.example"},
        "spec": {
            "group": "tests.example",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "shortNames": [plural[:2]]},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": name == versions[0],
                    "schema": schema,
                    "subresources": {"status": {}},
                    **fields,
                }
                for name in versions
            ],
        },
    }


SPEC = {
    "type": "object",
    "required": ["host"],
    "properties": {
        "host": {"type": "string", "minLength": 1},
        "weight": {"type": "integer", "minimum": 0, "maximum": 100, "default": 7},
        "mode": {"type": "string", "enum": ["ON", "OFF"]},
        "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["number"],
            "items": {
                "type": "object",
                "required": ["number"],
                "properties": {"number": {"type": "integer"}, "name": {"type": "string", "default": "http"}},
            },
        },
        "low": {"type": "integer"},
        "high": {"type": "integer"},
    },
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.low) || !has(self.high) || self.low <= self.high",
            "message": "low must not be above high",
        },
        {"rule": "self.host == oldSelf.host", "message": "host is immutable"},
    ],
}
