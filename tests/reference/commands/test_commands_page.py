"""The page of the commands (docs/commands.md), made of their help, of examples that are run here, and of the tests that name them."""

from __future__ import annotations

import ast
import difflib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mesh_reference.cli import main
from mesh_reference.commands import dump, proxy_status_command, proxy_views, sources, sync_state
from mesh_reference.manual import Manual

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PAGE = ROOT / "docs" / "commands.md"
sys.path.insert(0, str(HERE))
from command_tree import leaves  # noqa: E402

sys.path.remove(str(HERE))
LEAVES = dict(leaves())
FILES = ("mesh.yaml", "bad.yaml", "dump.json")
OFFLINE = "-f mesh.yaml --for shop/tester"
SHOWN: dict[str, tuple[str, ...]] = {
    "analyze": ("refmesh analyze mesh.yaml", "refmesh analyze mesh.yaml -S IST0101 -S IST0173 -o json"),
    "completion": (),
    "crds": (),
    "describe": ("refmesh describe pod shop/reviews-v1 -f mesh.yaml", "refmesh describe service shop/reviews -f mesh.yaml -o yaml"),
    "explain": (
        "refmesh explain -f mesh.yaml --from shop/tester --url http://reviews/x -H 'x-version: v1'",
        "refmesh explain -f mesh.yaml --from shop/tester --url http://reviews/undefined",
        "refmesh explain -f mesh.yaml --from shop/tester --url http://reviews/tea -o json",
    ),
    "iptables": ("refmesh iptables -i '*' -b '*' -d 15090,15021,15020 --no-ipv6 --dry-run",),
    "kube-inject": (),
    "manifests": (),
    "proxy-config all": (f"refmesh proxy-config all {OFFLINE}",),
    "proxy-config bootstrap": ("refmesh proxy-config bootstrap -f dump.json",),
    "proxy-config cluster": (f"refmesh proxy-config cluster {OFFLINE}", f"refmesh proxy-config cluster {OFFLINE} --subset v1 -o json"),
    "proxy-config endpoint": (f"refmesh proxy-config endpoint {OFFLINE}",),
    "proxy-config listener": (f"refmesh proxy-config listener {OFFLINE}",),
    "proxy-config route": (f"refmesh proxy-config route {OFFLINE}",),
    "proxy-config secret": ("refmesh proxy-config secret -f dump.json",),
    "proxy-status": ("refmesh proxy-status", "refmesh proxy-status -v 1", "refmesh proxy-status tester.shop"),
    "validate": ("refmesh validate -f bad.yaml", "refmesh validate -f bad.yaml -o yaml"),
}  # fmt: skip
"""Command: what is run for the page, on the files beside this one. Empty: what it prints is long, or no text for people."""
IN_A_POD = {
    "agent istio-iptables": "runs in the pod's init container; see `iptables`",
    "agent proxy": "is the sidecar's own process",
    "agent request": "is the pod's own, as the preStop hook calls it",
    "agent wait": "is the pod's own, as the postStart hook calls it",
    "istiod": "is the control plane's own process",
}
LINES = 34
"""Of one output; the rest is left out, and said so."""
ELSEWHERE = {
    "agent": ("identity/test_agent_with_envoy.py", "identity/test_agent_reads_its_environment.py"),
    "completion": ("commands/test_commands_explain_themselves.py",),
    "iptables": ("identity/test_capture_rules.py",),
    "istiod": ("xds/test_envoy_is_served.py", "xds/test_streams_follow_the_rules.py"),
}
COLUMNS = {
    **{f"proxy-config {name}": part.columns for name, part in proxy_views.PARTS.items()},
    "proxy-status": sync_state.COLUMNS,
}
HEAD = """# The commands

Made by `pytest tests/reference/commands/test_commands_page.py --update-goldens` from the commands' own help, from examples that are
run then and whose output is compared in every run of the tests, and from the tests that name a command.

`refmesh --help` lists them. Those for people take their mesh from three places: a running cluster (`--kubeconfig`, `--context`),
manifests alone (`-f`: the mesh that they would make; nothing is sent), or, for `proxy-config`, a saved config dump. `-o json` and
`-o yaml` are for programs. What cannot be read is one line on standard error, with file, line and column; the rest is gone on
with, and the exit code is 2. `refmesh completion bash` prints what makes the shell complete commands, options, files, namespaces and pods.

## Beside istioctl

`make istioctl-agreement` puts `refmesh` and a real `istioctl` to the same dumps and manifests: clusters, listeners, routes and
certificates of an Envoy with some hundred VirtualServices, dumps made of manifests for a sidecar, a server and a gateway, and each
mistake of `analyze` that istioctl looks for without a cluster. Without istioctl it is skipped, and says so. `pc` and `ps` are taken for
`proxy-config` and `proxy-status`; so are `routes`, `r` and so on. What differs on purpose:

| what | istioctl | refmesh | why |
|---|---|---|---|
| blanks at the ends of lines | yes | no | diffs |
| `-o json` of `proxy-config` | field names in camel case | protobuf's own names, as Envoy's `/config_dump` prints them | one form for dumps of Envoy, of the control plane and of manifests |
| a TCP chain with several clusters | shows none of them | shows all | nothing is hidden |
| order of route configurations that are no port numbers | as the sort happens to leave them | after those that are, in the dump's order | steady output |
| `endpoint -f DUMP` | wants the output of `/clusters` | takes that, or the endpoints of a config dump | one file for all parts |
| `bootstrap` | JSON | a short table; JSON with `-o json` | as the other parts |
| `all` | each table with a column for the name | the tables one after the other | the same tables as alone |
| `proxy-status POD` | asks istiod over XDS | compares `/debug/config_dump` with Envoy's | both through port-forwards |
| `analyze` without a cluster | leaves out what needs pods or Services | workloads of the manifests stand for a pod each | more is found before anything is applied |
| codes of `analyze` | 68 | those listed by `-L` | EnvoyFilter, Telemetry, the Gateway API, several clusters and webhooks are not served; misplaced, unknown and deprecated annotations (IST0107, 0108, 0135) are not told |
| `log`, `ecds`, `rootca-compare`, `precheck`, `tag`, `bug-report` | yes | no | not built |

## explain beside Envoy

`make explain-agreement` generates VirtualServices (cells, delegates, hosts at a gateway, rivals for one host, and fields that are rare),
gives them to a sidecar's and a gateway's Envoy through the control plane, sends 2,000 requests near them for each of three seeds and
explains the same requests from the same documents. Compared are: who answered, status, path, host and headers as the workload got
them, response headers, Location, the block that decided (each block says its own place in a response header), delays and copies.
Requests whose answers come by chance are sent 20 times more, and the shares of all of them are judged together. Differences found:
none in 6,000 requests. A run takes some 20 seconds. The judge itself is tested with wrong answers, and found each of six
deliberate mistakes in `explain` (weights ignored, appended headers set, whole paths replaced, paths not normalised, wrong blocks,
header conditions turned round). What the agreement does not cover, and where `explain` can be wrong:

| what | why |
|---|---|
| regular expressions of other kinds than the generated ones | Envoy's engine is RE2, Python's stands in; what Galley lets through is the common part |
| timeouts, retries, outlier detection, circuit breakers | they depend on what the workload does; `explain` names the timeout |
| `PASSTHROUGH` to hosts that nobody knows | the outside answers; `explain` says that it is let through |
| the server's side | PeerAuthentication, AuthorizationPolicy and inbound filters are not followed: the walk ends at the endpoint |
| format strings in header values (`%DOWNSTREAM_REMOTE_ADDRESS%`) | the value is shown as it is written |
"""


class Cluster:
    """Stands for a mesh of two sidecars, one of which does not have what it was told."""

    def __init__(self) -> None:
        told = {
            f"{name}_{word}": "n2"
            for name in ("cluster", "listener", "endpoint", "route")
            for word in ("sent", "acked")
        }
        common = {"cluster_id": "Kubernetes", "istio_version": "1.32.0"}
        self.pages = {
            "istiod-7c5": [
                {**common, "proxy": "reviews-v1.shop", **told, "rejections": {}},
                {**common, "proxy": "tester.shop", **told, "route_acked": "n1", "rejections": {}},
            ]
        }
        self.told = dump.to_json(
            dump.Dump(clusters=({"name": "outbound|80||reviews.shop.svc.cluster.local", "lb_policy": "RANDOM"},))
        )
        self.held = dump.to_json(dump.Dump(clusters=({"name": "outbound|80||reviews.shop.svc.cluster.local"},)))

    def put_in_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer what ``proxy-status`` asks."""

        async def answer(found: Any) -> Any:
            return found

        def ask(_config: Any, _context: Any, use: Any) -> Any:
            import asyncio

            return asyncio.run(use(None))

        monkeypatch.setattr(sources, "with_cluster", ask)
        for name, found in (
            ("debug_pages", self.pages), ("envoy_dump", self.held), ("istiods", list(self.pages)), ("debug_page", self.told),
        ):  # fmt: skip
            monkeypatch.setattr(proxy_status_command, name, lambda *_arguments, found=found: answer(found))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FILES:
        shutil.copy(HERE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    Cluster().put_in_place(monkeypatch)


def shown(line: str) -> Iterator[str]:
    """The command line and what it prints, as a person sees both."""
    result = CliRunner().invoke(main, shlex.split(line)[1:], prog_name="refmesh")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    printed = result.output.rstrip("\n").split("\n")
    more = [f"... {len(printed) - LINES} lines more"] if len(printed) > LINES else []
    code = [f"$ echo $?", str(result.exit_code)] if result.exit_code else []  # noqa: F541
    yield from ("```console", f"$ {line}", *printed[:LINES], *more, *code, "```", "")


@cache
def modules() -> list[tuple[str, str, tuple[str, ...]]]:
    """(place, docstring, tests) of every test module of the reference."""
    out = []
    for module in sorted(HERE.parent.rglob("*.py")):
        if module.name.startswith(("test_", "live_")) and module != Path(__file__):
            tree = ast.parse(module.read_text())
            names = [
                item.name for item in tree.body if isinstance(item, ast.FunctionDef) and item.name.startswith("test_")
            ]
            out.append((module.relative_to(HERE.parent).as_posix(), ast.get_docstring(tree) or "", tuple(names)))
    return out


def named_tests(path: str) -> list[str]:
    """Modules whose docstring names the command, with their tests where they are beside this one."""
    word = path.split(maxsplit=1)[0]
    out = []
    for place, text, names in modules():
        if f"``refmesh {word}``" in text or place in ELSEWHERE.get(word, ()):
            told = ", ".join(f"`{name}`" for name in names) if place.startswith(f"{HERE.name}/") else ""
            out.append(f"* `{place}`" + (f": {told}" if told else ""))
    return out


def section(path: str, command: click.Command) -> Iterator[str]:
    assert isinstance(command, Manual)
    help_text = re.sub(r"[ \t]*\n[ \t]*", "\n", (command.help or "").strip())
    yield from (f"## refmesh {path}", "", help_text, "")
    if path in COLUMNS:
        yield from (f"Columns: {', '.join(f'`{name}`' for name in COLUMNS[path])}.", "")
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    yield from ("| option | what it says |", "|---|---|") if options else ()
    for option in options:
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        choices = f" ({', '.join(option.type.choices)})" if isinstance(option.type, click.Choice) else ""
        yield f"| {names} | {(option.help or '').replace('|', '&#124;')}{choices} |"
    yield from (
        "",
        "Exit codes: " + "; ".join(f"{code} = {text}" for code, text in command.exit_codes.items()) + ".",
        "",
    )
    yield from ("```sh", *command.examples, "```", "")
    if path in IN_A_POD:
        yield from (f"It {IN_A_POD[path]}.", "")
    for line in SHOWN.get(path, ()):
        yield from shown(line)
    yield from ("Tests:", "", *named_tests(path), "")


def page() -> str:
    out = [HEAD]
    for path, command in LEAVES.items():
        out += section(path, command)
    out += ["## The files of the examples", ""]
    for name in FILES[:2]:
        out += [f"`{name}`:", "", "```yaml", (HERE / name).read_text().rstrip("\n"), "```", ""]
    return "\n".join(out).rstrip("\n") + "\n"


def test_the_page_is_up_to_date(request: pytest.FixtureRequest, stage: None) -> None:
    made = page()
    if request.config.getoption("--update-goldens"):
        PAGE.write_text(made)
    written = PAGE.read_text()
    changed = list(difflib.unified_diff(written.splitlines(), made.splitlines(), lineterm="", n=0))
    assert not changed, "run with --update-goldens and read what it writes:\n" + "\n".join(changed[:40])


@pytest.mark.parametrize("path", LEAVES)
def test_the_command_is_shown_and_tested(path: str) -> None:
    assert path in SHOWN or path in IN_A_POD
    assert named_tests(path)


def test_the_example_files_are_where_the_page_says(stage: None) -> None:
    assert sorted(item.name for item in Path.cwd().iterdir()) == sorted(FILES)
