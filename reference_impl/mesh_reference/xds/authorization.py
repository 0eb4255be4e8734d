"""AuthorizationPolicy as Envoy's RBAC filters: one that refuses by DENY, then one that admits by ALLOW. Pure.

What a connection cannot tell (methods, paths, headers of bytes that are no HTTP;
attributes that this mesh has none of) is read to the stricter side: in ALLOW the
rule never matches, in DENY the condition counts as met.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.core.v3 import address_pb2, extension_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2 as routes
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import path_pb2, regex_pb2, string_pb2
from google.protobuf import wrappers_pb2

from mesh_reference.xds.messages import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesh_reference.model.authorization_policies import (
        Authorization,
        AuthorizationPolicy,
        AuthorizationRule,
        Condition,
    )

HTTP_FILTER = "envoy.filters.http.rbac"
NETWORK_FILTER = "envoy.filters.network.rbac"
STAT_PREFIX = "tcp."
DEFAULT_TRUST_DOMAIN = "cluster.local"
"""Stands for the mesh's own, whatever that is called."""
HTTP_ONLY = ("request.",)
_OF_THE_PEER = ("source.", "remote.ip", "request.headers")
_LITERAL = re.compile(r"[a-zA-Z0-9/_-]")
_DENY, _ALLOW = rbac_pb2.RBAC.DENY, rbac_pb2.RBAC.ALLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What stands at the beginning of a chain: of bytes, and of HTTP."""

    network: tuple[listener_components_pb2.Filter, ...] = ()
    http: tuple[hcm_pb2.HttpFilter, ...] = ()


NOTHING = Filters()


def filters(authorization: Authorization, trust_domains: Sequence[str]) -> Filters:
    """The filters of one workload; none where nothing decides. ``trust_domains``: the mesh's own and its aliases."""
    found = {http: _by_action(authorization, tuple(trust_domains), http=http) for http in (True, False)}
    return Filters(
        network=tuple(
            listener_components_pb2.Filter(
                name=NETWORK_FILTER,
                typed_config=pack(network_rbac_pb2.RBAC(rules=rules, stat_prefix=STAT_PREFIX)),
            )
            for rules in found[False]
        ),
        http=tuple(
            hcm_pb2.HttpFilter(name=HTTP_FILTER, typed_config=pack(http_rbac_pb2.RBAC(rules=rules)))
            for rules in found[True]
        ),
    )


def _by_action(authorization: Authorization, trust_domains: tuple[str, ...], *, http: bool) -> list[rbac_pb2.RBAC]:
    if authorization.refuse_all:
        return [rbac_pb2.RBAC(action=_ALLOW)]  # that nothing matches
    found = []
    for action, policies in ((_DENY, authorization.deny), (_ALLOW, authorization.allow)):
        if policies:
            made = _Writer(strict=action is _DENY, trust_domains=trust_domains, http=http).policies(policies)
            # ALLOW without a policy refuses everything, as a policy without rules is meant to; DENY would refuse nothing.
            if made or action is _ALLOW:
                found.append(rbac_pb2.RBAC(action=action, policies=made))
    return found


class _Unjudgeable(Exception):  # noqa: N818 - a statement about a condition
    """Nothing is known of the attribute on such a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    """Writes rules of one action, for HTTP or for bytes. ``strict`` = a condition that cannot be judged counts as met."""

    strict: bool
    trust_domains: tuple[str, ...]
    http: bool

    def policies(self, policies: Iterable[AuthorizationPolicy]) -> dict[str, rbac_pb2.Policy]:
        found = {}
        for policy in policies:
            for index, rule in enumerate(policy.rules):
                name = f"ns[{policy.meta.namespace}]-policy[{policy.meta.name}]-rule[{index}]"
                try:
                    found[name] = self._rule(rule, policy.meta.namespace)
                except _Unjudgeable:
                    continue
        return found

    def _rule(self, rule: AuthorizationRule, namespace: str) -> rbac_pb2.Policy:
        of_peer = [one for one in rule.when if one.attribute.startswith(_OF_THE_PEER)]
        of_request = [one for one in rule.when if one not in of_peer]
        return rbac_pb2.Policy(
            principals=[
                _all_principals([made for one in (*source, *of_peer) for made in self._principals(one, namespace)])
                for source in rule.sources or ((),)
            ],
            permissions=[
                _all_permissions([made for one in (*operation, *of_request) for made in self._permissions(one)])
                for operation in rule.operations or ((),)
            ],
        )

    def _is_met(self, condition: Condition) -> bool:
        """Is it met because it cannot be judged? Raises _Unjudgeable where that means the rule never matches."""
        if condition.is_known and (self.http or not condition.attribute.startswith(HTTP_ONLY)):
            return False
        if self.strict:
            return True
        raise _Unjudgeable

    def _principals(self, condition: Condition, namespace: str) -> list[rbac_pb2.Principal]:
        if self._is_met(condition):
            return []

        def any_of(values: tuple[str, ...]) -> rbac_pb2.Principal:
            made = [one for value in values for one in self._principal(condition.attribute, value, namespace)]
            return rbac_pb2.Principal(or_ids=rbac_pb2.Principal.Set(ids=made))

        found = [any_of(condition.values)] if condition.values else []
        return found + ([rbac_pb2.Principal(not_id=any_of(condition.not_values))] if condition.not_values else [])

    def _permissions(self, condition: Condition) -> list[rbac_pb2.Permission]:
        if self._is_met(condition):
            return []

        def any_of(values: tuple[str, ...]) -> rbac_pb2.Permission:
            made = [_permission(condition.attribute, value) for value in values]
            return rbac_pb2.Permission(or_rules=rbac_pb2.Permission.Set(rules=made))

        found = [any_of(condition.values)] if condition.values else []
        return found + ([rbac_pb2.Permission(not_rule=any_of(condition.not_values))] if condition.not_values else [])

    def _principal(self, attribute: str, value: str, namespace: str) -> list[rbac_pb2.Principal]:
        if attribute == "source.ip":
            return [rbac_pb2.Principal(direct_remote_ip=_block(value))]
        if attribute == "remote.ip":
            return [rbac_pb2.Principal(remote_ip=_block(value))]
        if attribute.startswith("request.headers["):
            return [rbac_pb2.Principal(header=_header(attribute[len("request.headers[") : -1], value))]
        return [
            rbac_pb2.Principal(authenticated=rbac_pb2.Principal.Authenticated(principal_name=matcher))
            for matcher in self._identities(attribute, value, namespace)
        ]

    def _identities(self, attribute: str, value: str, namespace: str) -> list[string_pb2.StringMatcher]:
        """Matchers of the peer's SPIFFE ID. A principal is written without its scheme."""
        if attribute == "source.principal":
            return [_identity(one) for one in self._in_every_trust_domain(value)]
        if attribute == "source.namespace":
            return [_regex(f".*/ns/{_pattern(value)}/.*")]
        if attribute == "source.serviceAccount":
            place, slash, account = value.partition("/")
            return [
                _regex(f"spiffe://[^/]+/ns/{_pattern(place if slash else namespace)}/sa/{_pattern(account or place)}")
            ]
        if attribute == "source.trustDomain":
            return [_regex(f"spiffe://{_pattern(value, any_of='[^/]*')}/.*")]
        raise ValueError(f"attribute {attribute} passed validation and is not known here")

    def _in_every_trust_domain(self, value: str) -> list[str]:
        """A principal of this mesh is one under each of its names."""
        domain, slash, rest = value.partition("/")
        if slash and domain in {DEFAULT_TRUST_DOMAIN, *self.trust_domains}:
            return [f"{one}/{rest}" for one in self.trust_domains]
        return [value]


def _permission(attribute: str, value: str) -> rbac_pb2.Permission:
    if attribute == "destination.port":
        return rbac_pb2.Permission(destination_port=int(value))
    if attribute == "destination.ip":
        return rbac_pb2.Permission(destination_ip=_block(value))
    if attribute == "connection.sni":
        return rbac_pb2.Permission(requested_server_name=_string(value))
    if attribute == "request.method":
        return rbac_pb2.Permission(header=_header(":method", value))
    if attribute == "request.host":
        return rbac_pb2.Permission(header=_header(":authority", value, ignore_case=True))
    if attribute == "request.path" and "{" in value:
        template = uri_template_match_pb2.UriTemplateMatchConfig(
            path_template=value.replace("{**}", "**").replace("{*}", "*")
        )
        extension = extension_pb2.TypedExtensionConfig(name="uri-template", typed_config=pack(template))
        return rbac_pb2.Permission(uri_template=extension)
    if attribute == "request.path":
        return rbac_pb2.Permission(url_path=path_pb2.PathMatcher(path=_string(value)))
    raise ValueError(f"attribute {attribute} passed validation and is not known here")


def _all_principals(made: list[rbac_pb2.Principal]) -> rbac_pb2.Principal:
    return rbac_pb2.Principal(and_ids=rbac_pb2.Principal.Set(ids=made)) if made else rbac_pb2.Principal(any=True)


def _all_permissions(made: list[rbac_pb2.Permission]) -> rbac_pb2.Permission:
    return rbac_pb2.Permission(and_rules=rbac_pb2.Permission.Set(rules=made)) if made else rbac_pb2.Permission(any=True)


def _header(name: str, value: str, *, ignore_case: bool = False) -> routes.HeaderMatcher:
    if value == "*":
        return routes.HeaderMatcher(name=name, present_match=True)
    return routes.HeaderMatcher(name=name, string_match=_string(value, ignore_case=ignore_case))


def _string(value: str, *, ignore_case: bool = False) -> string_pb2.StringMatcher:
    """Exact, ``a*`` by prefix, ``*a`` by suffix, ``*`` for anything that is there."""
    if value == "*":
        return _regex(".+")
    if value.startswith("*"):
        return string_pb2.StringMatcher(suffix=value[1:], ignore_case=ignore_case)
    if value.endswith("*"):
        return string_pb2.StringMatcher(prefix=value[:-1], ignore_case=ignore_case)
    return string_pb2.StringMatcher(exact=value, ignore_case=ignore_case)


def _identity(principal: str) -> string_pb2.StringMatcher:
    if principal == "*":
        return _regex(".+")
    if principal.startswith("*"):
        return _regex(f"spiffe://.*{_pattern(principal[1:])}")
    return _string(f"spiffe://{principal}")


def _regex(text: str) -> string_pb2.StringMatcher:
    return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=text))


def _pattern(value: str, *, any_of: str = ".*") -> str:
    """A regular expression (RE2) of a value in which ``*`` stands for anything."""
    return "".join(any_of if one == "*" else one if _LITERAL.match(one) else f"\\{one}" for one in value)


def _block(value: str) -> address_pb2.CidrRange:
    network = ipaddress.ip_network(value, strict=False)
    return address_pb2.CidrRange(
        address_prefix=str(network.network_address), prefix_len=wrappers_pb2.UInt32Value(value=network.prefixlen)
    )
