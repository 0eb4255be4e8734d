"""``refmesh validate``: files, directories and stdin; file:line of each finding; exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesh_reference import documents
from mesh_reference.cli import main
from mesh_reference.webhooks import review
from mesh_reference.webhooks.server import answer_validate

GOOD = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: {host: reviews}
"""
BAD = GOOD.replace("destination: {host: reviews}", "weight: -80\n      destination: {host: reviews}")
SEED = """\
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
  - match:
    - headers:
        x-version:
          exact: v2
    route:
    - destination:
        host: reviews
        subset: v2
  - route:
    - destination:
        host: reviews
        subset: v1
      weight: 80
    - destination:
        host: reviews
        subset: v2
      weight: 20
---
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata:
  name: reviews
spec:
  host: reviews
  trafficPolicy:
    connectionPool:
      http:
        http1MaxPendingRequests: 100
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
"""


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["validate", *arguments], input=text)


def test_the_seeds_own_documents_are_sound() -> None:
    result = run("-f", "-", text=SEED)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "2 resources checked, 0 errors, 0 warnings\n"


def test_a_finding_is_told_with_file_line_resource_field_and_rule() -> None:
    result = run("-f", "-", text=BAD)
    assert result.exit_code == 1
    assert result.stdout == (
        "-:8:7: error: VirtualService shop/reviews: spec.http[0].route[0].weight: weight -80 < 0 [V12]\n"
    )


def test_lines_count_from_the_files_first_and_not_from_the_documents() -> None:
    result = run("-f", "-", text=f"# one\n---\n{GOOD}---\n{BAD}")
    assert result.stdout.startswith("-:19:7: error: ")


def test_a_list_is_checked_item_by_item() -> None:
    items = "\n".join(f"  {line}" for line in BAD.splitlines()).replace("  apiVersion", "- apiVersion", 1)
    result = run("-f", "-", text=f"apiVersion: v1\nkind: List\nitems:\n{items}\n")
    assert result.stdout.startswith(
        "-:11:9: error: VirtualService shop/reviews: items[0].spec.http[0].route[0].weight: "
    )


def test_a_directory_is_read_whole_and_others_kinds_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.yaml").write_text(BAD)
    (tmp_path / "b.json").write_text(json.dumps({"apiVersion": "v1", "kind": "Service", "spec": {"x": 1}}))
    (tmp_path / "c.txt").write_text("a: [")
    result = run("-f", str(tmp_path))
    assert result.stdout.startswith(f"{tmp_path}/deep/a.yaml:8:7: error: ")
    assert result.stderr == "1 resources checked, 1 errors, 0 warnings\n"


def test_json_output_has_the_same_findings(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BAD)
    result = run("-f", str(path), "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "checked": 1,
        "findings": [
            {
                "file": str(path),
                "line": 8,
                "column": 7,
                "resource": "VirtualService shop/reviews",
                "path": "spec.http[0].route[0].weight",
                "rule": "V12",
                "severity": "error",
                "message": "weight -80 < 0",
            }
        ],
        "unreadable": [],
    }


def test_yaml_output_says_what_json_output_says(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BAD)
    as_json, as_yaml = (run("-f", str(path), "-o", form) for form in ("json", "yaml"))
    assert documents.load_all(as_yaml.stdout)[0].value == json.loads(as_json.stdout)
    assert (as_json.exit_code, as_yaml.exit_code) == (1, 1)


def test_the_text_is_that_of_the_webhooks_refusal() -> None:
    document = documents.load_all(BAD)[0].value
    asked = {"uid": "1", "operation": "CREATE", "namespace": "shop", "object": document}
    body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
    refused = answer_validate(review.parse(json.dumps(body).encode()))["response"]["status"]["message"]
    told = run("-f", "-", text=BAD).stdout.strip()
    assert told.endswith(": " + refused.removeprefix("configuration is invalid: "))


def test_a_directory_without_documents_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    result = run("-f", str(tmp_path))
    assert result.exit_code == 2
    assert "holds no file that ends in .yaml, .yml, .json" in result.stderr


def test_warnings_alone_are_exit_code_0() -> None:
    result = run("-f", "-", text=GOOD.replace("hosts:", "gateways: [edge.shop, mesh]\n  hosts:"))
    assert result.exit_code == 0
    assert "-:5:14: warning: " in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [\n", "-:2:1: unreadable: "),
        ("a: &a [*a]\n", "-:1:"),
        ("a: 1\n", "-:1:1: unreadable: a document needs apiVersion and kind\n"),
        ("- 1\n", "-:1:1: unreadable: a document needs apiVersion and kind\n"),
        ("kind: {}\n", "-:1:1: unreadable: a document needs apiVersion and kind\n"),
        ("? [a]\n: b\n", "-:1:3: unreadable: a key must be plain text\n"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "-:4:3: unreadable: duplicate key 'c'\n"),
        ("a:\n\tb: 1\n", "-:2:1: unreadable: "),
        ("a: 'x\n", "-:2:1: unreadable: "),
        ("a: !!python/object:os.system {}\n", "-:1:"),
    ],
)
def test_what_cannot_be_read_is_one_line_and_exit_code_2_and_the_rest_is_checked(text: str, message: str) -> None:
    result = run("-f", "-", text=f"{text}---\n{BAD}")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert "weight -80 < 0" in result.stdout


def test_a_file_that_is_not_there_or_no_text_is_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    result = run("-f", "/nowhere.yaml", "-f", str(tmp_path / "binary.yaml"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[:2] == [
        "/nowhere.yaml:1:1: unreadable: No such file or directory",
        f"{tmp_path}/binary.yaml:1:1: unreadable: not UTF-8 text",
    ]


def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("# " + "x" * (10 * 1024 * 1024))
    result = run("-f", str(path))
    assert result.exit_code == 2
    assert "bytes are more than the" in result.stderr


def test_an_alias_bomb_is_refused() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))
    result = run("-f", "-", text=f"a0: &a0 [x]\n{levels}\n")
    assert result.exit_code == 2
    assert "too large" in result.stderr
