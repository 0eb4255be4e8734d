"""Does a caller fit the rules of an Envoy RBAC filter? Envoy's own logic, on the rules as they were generated. Pure.

An answer may be None: what is known of the caller does not say (the address of one from outside the mesh).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mesh_reference.commands.route_matching import Request, fits, header_misfit

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a server's proxy sees of one request. ``identity`` is the SPIFFE ID of its certificate, "" without one."""

    request: Request
    identity: str = ""
    address: str | None = None
    """None = not known."""
    port: int = 0
    """That the server listens on."""
    server: str = ""
    """Its address."""
    sni: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one RBAC filter says. ``rule`` is the name of the policy that decided; "" = no rule matched."""

    action: str
    allowed: bool | None
    rule: str = ""
    missed: tuple[tuple[str, str], ...] = ()
    """Rules that do not match, each with the side that does not: ``from`` or ``to``."""


def judge(rules: Json, caller: Caller) -> Ruling:
    """DENY refuses what any rule matches, ALLOW what none does. An absent action is ALLOW, as in protobuf."""
    action = str(rules.get("action") or "ALLOW")
    missed: list[tuple[str, str]] = []
    unsure = ""
    for name, policy in sorted((rules.get("policies") or {}).items()):
        found = {
            "from": _any(principal(item, caller) for item in policy.get("principals") or ()),
            "to": _any(permission(item, caller) for item in policy.get("permissions") or ()),
        }
        side = next((side for side, held in found.items() if held is False), None)
        if side is not None:
            missed.append((name, side))
        elif None in found.values():
            unsure = unsure or name
        else:
            return Ruling(action=action, allowed=action == "ALLOW", rule=name, missed=tuple(missed))
    allowed = None if unsure else action == "DENY"
    return Ruling(action=action, allowed=allowed, rule=unsure, missed=tuple(missed))


def principal(item: Json, caller: Caller) -> bool | None:
    """Envoy's Principal."""
    if "and_ids" in item:
        return _all(principal(one, caller) for one in item["and_ids"].get("ids") or ())
    if "or_ids" in item:
        return _any(principal(one, caller) for one in item["or_ids"].get("ids") or ())
    if "not_id" in item:
        return _not(principal(item["not_id"], caller))
    if "authenticated" in item:
        matcher = item["authenticated"].get("principal_name")
        return bool(caller.identity) and (matcher is None or fits(matcher, caller.identity))
    for name in ("direct_remote_ip", "remote_ip"):
        if name in item:
            return None if caller.address is None else _within(item[name], caller.address)
    if "header" in item:
        return not header_misfit(item["header"], caller.request.values(str(item["header"].get("name", ""))))
    return _always(item)


def permission(item: Json, caller: Caller) -> bool | None:
    """Envoy's Permission."""
    if "and_rules" in item:
        return _all(permission(one, caller) for one in item["and_rules"].get("rules") or ())
    if "or_rules" in item:
        return _any(permission(one, caller) for one in item["or_rules"].get("rules") or ())
    if "not_rule" in item:
        return _not(permission(item["not_rule"], caller))
    path = caller.request.path.partition("?")[0]
    if "header" in item:
        return not header_misfit(item["header"], caller.request.values(str(item["header"].get("name", ""))))
    if "url_path" in item:
        return fits(item["url_path"]["path"], path)
    if "uri_template" in item:
        return _fits_template(str(item["uri_template"]["typed_config"]["path_template"]), path)
    if "destination_port" in item:
        return int(item["destination_port"]) == caller.port
    if "destination_ip" in item:
        return _within(item["destination_ip"], caller.server)
    if "requested_server_name" in item:
        return fits(item["requested_server_name"], caller.sni)
    return _always(item)


def _always(item: Json) -> bool:
    if item.get("any") is not True:
        raise ValueError(f"a rule that this mesh does not generate: {sorted(item)}")
    return True


def _within(block: Json, address: str) -> bool:
    network = ipaddress.ip_network(f"{block['address_prefix']}/{block.get('prefix_len', 0)}", strict=False)
    return ipaddress.ip_address(address) in network


def _fits_template(template: str, path: str) -> bool:
    """``*`` is one segment, ``**`` any number of them."""
    pattern = re.sub(r"\\\*\\\*", ".*", re.escape(template))
    return bool(re.fullmatch(re.sub(r"\\\*", "[^/]+", pattern), path))


def _any(found: Iterable[bool | None]) -> bool | None:
    held = list(found)
    return True if True in held else None if None in held else False


def _all(found: Iterable[bool | None]) -> bool | None:
    held = list(found)
    return False if False in held else None if None in held else True


def _not(held: bool | None) -> bool | None:
    return None if held is None else not held
