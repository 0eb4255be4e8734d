"""Traffic capture as ``iptables-restore`` input (istio-semantics §2.3).

Pure: nothing is run and nothing is read. The rules of each table are made by the
table's own module; this one puts them together and clears an earlier run's away.
"""

from __future__ import annotations

from mesh_reference.agent import dns_rules, nat_rules, tproxy_rules
from mesh_reference.agent.capture import Capture, check

CHAINS = {"nat": (*nat_rules.CHAINS, nat_rules.DNS_CHAIN), "mangle": tproxy_rules.CHAINS, "raw": dns_rules.CHAINS}
_HOOKS = ("-A PREROUTING ", "-A OUTPUT ")


def tables(capture: Capture, version: int) -> dict[str, list[str]]:
    """Rules by table, in order, for IP ``version`` 4 or 6; raises CaptureError."""
    check(capture)
    return {
        "nat": nat_rules.rules(capture, version),
        "mangle": tproxy_rules.rules(capture, version),
        "raw": dns_rules.rules(capture, version),
    }


def restore_input(capture: Capture, version: int, current: str = "") -> str:
    """Give one ``iptables-restore --noflush`` input that leads from ``current`` to the capture.

    ``current`` is what ``iptables-save`` prints. Own chains are emptied by
    declaring them, and earlier jumps into them are deleted in the same
    transaction, so a second run ends where the first did (a table is never
    half built). Foreign rules stay. Raises CaptureError.
    """
    before = _parse(current)
    lines: list[str] = []
    for table, wanted in tables(capture, version).items():
        present = [chain for chain in CHAINS[table] if chain in before.get(table, {})]
        needed = nat_rules.chains(capture) if table == "nat" else CHAINS[table] if wanted else ()
        chains = dict.fromkeys((*needed, *present))
        leftovers = [
            f"-D{line[2:]}"
            for line in before.get(table, {}).get("", ())
            if line.startswith(_HOOKS) and (_is_ours(line) or line in wanted)
        ]
        if chains or leftovers:
            lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in chains), *leftovers, *wanted, "COMMIT"]
    return "\n".join([*lines, ""])


def _parse(saved: str) -> dict[str, dict[str, list[str]]]:
    """Per table its chains as keys, and all its rules below the key ""."""
    found: dict[str, dict[str, list[str]]] = {}
    table = "nat"
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith(":"):
            found.setdefault(table, {}).setdefault(line[1:].split(" ", 1)[0], [])
        elif line.startswith("-A"):
            found.setdefault(table, {}).setdefault("", []).append(line)
    return found


def _is_ours(line: str) -> bool:
    words = line.split()
    target = words[words.index("-j") + 1] if "-j" in words else ""
    own = {chain for chains in CHAINS.values() for chain in chains}
    return target in own or any(word.partition("/")[0] in tproxy_rules.MARKS for word in words)
