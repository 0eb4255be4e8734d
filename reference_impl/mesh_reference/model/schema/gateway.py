"""Gateway, field by field, as istio.io/api networking defines it; Sidecar's ingress shares its TLS settings.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.types import (
    FLAG,
    LABELS,
    TEXT,
    TEXTS,
    UINT32,
    Choice,
    Kind,
    ListOf,
    Message,
    Rule,
)

_VERSION = Choice(names=("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"))
_ONE_SOURCE = "only one of credential_name, credential_names, server_certificate/private_key, tls_certificates should be specified"

# One rule a pair: a single rule for all of them costs more than an API server grants.
_CREDENTIAL = "has(self.credentialName) && self.credentialName != ''"
_CREDENTIALS = "has(self.credentialNames)"
_CERTIFICATES = "has(self.tlsCertificates)"

SERVER_TLS = Message(
    name="ServerTLSSettings",
    fields={
        "httpsRedirect": FLAG,
        "mode": Choice(
            names=("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")
        ),
        "serverCertificate": TEXT,
        "privateKey": TEXT,
        "caCertificates": TEXT,
        "caCrl": TEXT,
        "credentialName": TEXT,
        "credentialNames": ListOf(item=TEXT, at_most=2),
        "caCertCredentialName": TEXT,
        "tlsCertificates": ListOf(
            item=Message(
                name="TLSCertificate",
                fields={"serverCertificate": TEXT, "privateKey": TEXT, "caCertificates": TEXT},
            ),
            at_most=2,
        ),
        "subjectAltNames": TEXTS,
        "verifyCertificateSpki": TEXTS,
        "verifyCertificateHash": TEXTS,
        "minProtocolVersion": _VERSION,
        "maxProtocolVersion": _VERSION,
        "cipherSuites": TEXTS,
        "insecureSkipVerify": FLAG,
    },
    rules=tuple(
        Rule(expression=f"!({one}) || !({other})", message=_ONE_SOURCE, rule="V58n")
        for one, other in (
            (_CREDENTIAL, _CREDENTIALS),
            (_CREDENTIAL, _CERTIFICATES),
            (_CREDENTIALS, _CERTIFICATES),
        )
    ),
)
SERVER = Message(
    name="Server",
    fields={
        "port": Message(
            name="Port",
            fields={"number": UINT32, "protocol": TEXT, "name": TEXT, "targetPort": UINT32},
            rules=(
                Rule(
                    expression="has(self.name) && self.name != ''",
                    message="port name must be set",
                    rule="V58j",
                    at=".name",
                ),
                Rule(
                    expression="!has(self.targetPort) || self.targetPort == 0",
                    message="targetPort has no impact on Gateways",
                    rule="V58i",
                    at=".targetPort",
                ),
            ),
        ),
        "bind": TEXT,
        "hosts": TEXTS,
        "tls": SERVER_TLS,
        "defaultEndpoint": TEXT,
        "name": TEXT,
    },
    rules=(
        Rule(
            expression="has(self.hosts) && self.hosts.size() > 0",
            message="server config must contain at least one host",
            rule="V58b",
            at=".hosts",
        ),
        Rule(expression="has(self.port)", message="port is required", rule="V58g", at=".port"),
    ),
)

GATEWAY = Kind(
    group="networking.istio.io",
    kind="Gateway",
    plural="gateways",
    short_name="gw",
    versions=("v1", "v1beta1", "v1alpha3"),
    description="Configuration affecting edge load balancer.",
    spec=Message(
        name="Gateway",
        fields={"servers": ListOf(item=SERVER), "selector": LABELS},
        descriptions={
            "servers": "A list of server specifications.",
            "selector": "The labels of the pods that this gateway configuration applies to.",
        },
        rules=(
            Rule(
                expression="has(self.servers) && self.servers.size() > 0",
                message="gateway must have at least one server",
                rule="V58a",
                at=".servers",
            ),
        ),
    ),
    columns=(),
)
