"""What stands behind a destination: a Service's port, a subset by the client's DestinationRule, workloads (F1, F3, B14, D1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from pytest_mesh.oracle.errors import Unsupported
from pytest_mesh.oracle.fields import Line
from pytest_mesh.oracle.model import Destination, DestinationRule, Source, Subset, Workload, World, exported
from pytest_mesh.oracle.names import most_specific
from pytest_mesh.oracle.outcomes import Flag, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a destination leads. ``flag`` says why nobody answers."""

    host: str
    subset: str
    port: int
    workloads: tuple[Workload, ...] = ()
    flag: Flag = ""
    reached: Literal["pods", "dialled", "outside"] = "pods"
    assumptions: tuple[str, ...] = ()


def target(
    world: World, source: Source, destination: Destination, port: int, steps: list[Step], *, http: bool = True
) -> Target:
    """Find what a destination leads to, from a listener on ``port``; tells what decides.

    ``http``: whether its port must speak HTTP.
    """
    service = world.service(destination.host)
    # B14 as a running Istio has it: a sidecar's listener sees no port of a Service but its own.
    number = destination.port or port
    found = Target(host=destination.host, subset=destination.subset, port=number)
    if service is None:
        return _none(found, f"{destination.host} is no Service", destination.line, steps)
    reached = service.port(number)
    if reached is None:
        return _none(found, f"Service {service.host} has no port {number}", destination.line, steps)
    if http and not reached.http:
        raise Unsupported(f"{service.line}: port {number} is not declared as HTTP by name or appProtocol")
    if not http and reached.protocol == "detected":
        raise Unsupported(f"{service.line}: port {number}: the oracle does not model ports whose protocol is detected")
    rules = rules_for(world, source, destination.host, service.namespace)
    assumed = tuple(text for rule in rules for text in rule.assumptions)
    subset = Subset(name="", labels={}, line=destination.line)
    if destination.subset:
        subsets = [one for rule in rules for one in rule.subsets if one.name == destination.subset]
        if not subsets:
            named = ", ".join(f"{one.namespace}/{one.name}" for one in rules) or "none"
            words = f"no DestinationRule for {destination.host} has subset {destination.subset!r} (in force: {named})"
            return _none(found, words, destination.line, steps)
        subset = subsets[0]
    found = replace(found, reached=service.reached, assumptions=assumed)
    if service.reached == "dialled":
        words = "goes to the address that the client dials, whatever the subset (headless, or resolution NONE: S1)"
        steps.append(Step(words=f"{service.host} {words}", line=service.line))
        return found
    workloads = world.behind(service, subset.labels)
    if service.reached == "outside":
        fitting = [one for one in service.endpoint_labels if subset.labels.items() <= one.items()]
        if fitting or not destination.subset:
            steps.append(Step(words=f"{service.host} has endpoints of its own (S1)", line=service.line))
            return found
    if not workloads:
        steps.append(
            Step(words=f"no pod of {service.host} has labels {dict(subset.labels)}: 503 UH (F3)", line=subset.line)
        )
        return replace(found, flag="UH", reached="pods")
    return replace(found, workloads=workloads)


def rules_for(world: World, source: Source, host: str, service_namespace: str) -> tuple[DestinationRule, ...]:
    """Give the DestinationRules in force: of the client's namespace, else the service's, else the root's (§1.7)."""
    for namespace in dict.fromkeys((source.namespace, service_namespace, world.root_namespace)):
        found = {
            one.host: [
                rule for rule in world.destination_rules if rule.namespace == namespace and rule.host == one.host
            ]
            for one in world.destination_rules
            if one.namespace == namespace
            and (namespace == source.namespace or exported(one.export_to, one.namespace, source.namespace))
        }
        best = most_specific(found, host)
        if best is None:
            continue
        rules = found[best]
        if len(list(groupby(rules, key=lambda one: one.export_to))) > 1:
            names = ", ".join(rule.name for rule in rules)
            raise Unsupported(f"DestinationRules {names} in {namespace}: same host, different exportTo")
        return tuple(rules)
    return ()


def _none(found: Target, words: str, line: Line, steps: list[Step]) -> Target:
    steps.append(Step(words=f"{words}: 503 NC (F1)", line=line))
    return Target(host=found.host, subset=found.subset, port=found.port, flag="NC")
