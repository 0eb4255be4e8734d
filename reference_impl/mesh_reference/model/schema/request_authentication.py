"""RequestAuthentication, field by field, as istio.io/api security defines it.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.policy_target import ONE_TARGET, TARGET_REF, TARGET_REFS
from mesh_reference.model.schema.selectors import WORKLOAD_SELECTOR
from mesh_reference.model.schema.types import DURATION, FLAG, TEXT, Kind, ListOf, Message, Rule, Text

JWT_RULE = Message(
    name="JWTRule",
    fields={
        "issuer": TEXT,
        "audiences": ListOf(
            item=Text(rules=(Rule(expression="self != ''", message="audience must be non-empty string", rule="V62a"),))
        ),
        "jwksUri": Text(at_most=2048),
        "jwks_uri": Text(at_most=2048),
        "jwks": TEXT,
        "fromHeaders": ListOf(
            item=Message(
                name="JWTHeader",
                fields={"name": TEXT, "prefix": TEXT},
                rules=(
                    Rule(
                        expression="has(self.name) && self.name != ''",
                        message="location header name must be non-empty string",
                        rule="V62e",
                        at=".name",
                    ),
                ),
            )
        ),
        "fromParams": ListOf(
            item=Text(
                rules=(Rule(expression="self != ''", message="location query must be non-empty string", rule="V62f"),)
            )
        ),
        "fromCookies": ListOf(
            item=Text(
                rules=(Rule(expression="self != ''", message="cookie name must be non-empty string", rule="V62g"),)
            )
        ),
        "outputPayloadToHeader": TEXT,
        "outputClaimToHeaders": ListOf(
            item=Message(
                name="ClaimToHeader",
                fields={"header": TEXT, "claim": TEXT},
                rules=(
                    Rule(
                        expression="has(self.header) && self.header != '' && has(self.claim) && self.claim != ''",
                        message="outputClaimToHeaders header and claim value must be non-empty string",
                        rule="V62h",
                    ),
                ),
            )
        ),
        "forwardOriginalToken": FLAG,
        "spaceDelimitedClaims": ListOf(item=TEXT, at_most=64),
        "timeout": DURATION,
    },
    rules=(
        Rule(
            expression=("(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1"),
            message="only one of jwks or jwksUri can be set",
            rule="V62k",
        ),
    ),
)

REQUEST_AUTHENTICATION = Kind(
    group="security.istio.io",
    kind="RequestAuthentication",
    plural="requestauthentications",
    short_name="ra",
    versions=("v1", "v1beta1"),
    description="Request authentication configuration for workloads.",
    spec=Message(
        name="RequestAuthentication",
        fields={
            "selector": WORKLOAD_SELECTOR,
            "targetRef": TARGET_REF,
            "targetRefs": TARGET_REFS,
            "jwtRules": ListOf(item=JWT_RULE, at_most=4096),
        },
        descriptions={
            "selector": "The workloads this applies to; default all of the namespace, or of the mesh in the root namespace.",
            "jwtRules": "The issuers whose tokens are accepted; a request without a token is not refused by this kind.",
        },
        rules=(ONE_TARGET,),
    ),
    columns=(),
    acted_on=False,
)
