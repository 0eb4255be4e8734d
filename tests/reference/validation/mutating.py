"""Documents a little off from sound ones: a part of one replaced by a value of its type, odd ones above all."""

from __future__ import annotations

import random
from typing import Any

from mesh_reference.model.schema import types

_WORDS = (
    "* a v1 reviews *.com 10.0.0.1 % ( .* shop/edge mesh . ~ *. a_b a.b.c 1.2.3 -a a- *-x.y.z x*.y 10.0.0.0/8 ::1 unix:///a "
    "/a/b HTTP TLS http tcp https a:80 A.B host Host :path :authority 100% %% %REQ(a)% [ a{2 (?i)a \\d \\p{Greek} \\p{nope} "
    "source.ip request.headers[a] 80 0 70000 configmap://shop/x configmap://a/b GET 5xx 503 reset,5xx CONNECT é a.b. .. a..b "
    "1 a.123 localhost 2001:db8::/32 @request.auth.claims.a x-y {*} /a/{**} cluster.local https://a.b/c http:// ftp://a OK"
)
WORDS = (*_WORDS.split(), "", "a b", "\t", "a\nb", "a" * 64)
NUMBERS = (0, 1, 2, 3, 9, 80, 100, 101, 200, 301, 399, 503, 599, 600, 601, 65535, 65536, 65537, 5000011)


def value(wanted: types.Type, chance: random.Random) -> Any:
    """A value of the type."""
    few = range(chance.choice((0, 1, 1, 2)))
    match wanted:
        case types.Text():
            return chance.choice(WORDS)
        case types.Flag():
            return chance.random() < 0.5
        case types.Integer():
            return chance.choice((*NUMBERS, wanted.minimum, wanted.maximum))
        case types.Number():
            return chance.choice((0, -1.5, 0.00001, 0.0001, 0.5, 50, 100, 101.0))
        case types.Duration():
            return chance.choice(("0s", "1ms", "1.5s", "1h30m", "-1s", "10us", "1s1ns", "999us"))
        case types.Binary():
            return chance.choice(("", "eHh4"))
        case types.Choice():
            return chance.choice(wanted.names)
        case types.ListOf():
            return [value(wanted.item, chance) for _ in few]
        case types.MapOf():
            keys = ("0", "80", "443", "70000") if wanted.key == "port" else WORDS
            return {chance.choice(keys): value(wanted.value, chance) for _ in few}
        case types.Message():
            names = [name for name in wanted.fields if chance.random() < min(0.5, 2.2 / len(wanted.fields))]
            return _alone({name: value(wanted.fields[name], chance) for name in names}, wanted, names[-1:])


def mutated(given: Any, wanted: types.Type, chance: random.Random) -> Any:
    """The value with one part of it changed, added or left out."""
    match wanted:
        case types.Message():
            if given and chance.random() < 0.75:
                name = chance.choice(list(given))
                return {**given, name: mutated(given[name], wanted.fields[name], chance)}
            if given and chance.random() < 0.2:
                name = chance.choice(list(given))
                return {other: held for other, held in given.items() if other != name}
            name = chance.choice(list(wanted.fields))
            return _alone({**given, name: value(wanted.fields[name], chance)}, wanted, [name])
        case types.ListOf():
            if given and chance.random() < 0.8:
                at = chance.randrange(len(given))
                return [*given[:at], mutated(given[at], wanted.item, chance), *given[at + 1 :]]
            again = given and chance.random() < 0.4
            return [*given, chance.choice(given) if again else value(wanted.item, chance)]
        case types.MapOf():
            if given and chance.random() < 0.6:
                name = chance.choice(list(given))
                return {**given, name: mutated(given[name], wanted.value, chance)}
            return {**given, **value(wanted, chance)}
    return value(wanted, chance)


def _alone(given: dict[str, Any], wanted: types.Message, keep: list[str]) -> dict[str, Any]:
    """Of each oneof one field: the one to keep, else the first."""
    for group in wanted.one_of:
        inside = [name for name in given if name in group]
        one = next((name for name in inside if name in keep), inside[0] if inside else "")
        given = {name: held for name, held in given.items() if name not in group or name == one}
    return given
