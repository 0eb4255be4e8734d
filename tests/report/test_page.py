"""The page shows what the report says, and nothing that a report holds becomes more than text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mesh import documents
from pytest_mesh.report import page, plots
from pytest_mesh.report.command import command
from pytest_mesh.report.model import API_VERSION

HOSTILE = "<script>alert(1)</script>\" onload='x' \x1b[31m\u202e{{ 7 * 7 }}"


def check(name="t::a[x]", verdict="passed", **fields):
    return {
        "id": name,
        "profile": "P",
        "level": "core",
        "feature": "One",
        "verdict": verdict,
        "seconds": 0.1,
        "evidence": {},
        **fields,
    }


def report(*tests, exit_code=0):
    failed = any(one["verdict"] == "failed" for one in tests)
    return {
        "apiVersion": API_VERSION,
        "kind": "ConformanceReport",
        "date": "2026-01-01T00:00:00Z",
        "mode": "default",
        "exitCode": exit_code,
        "implementation": {"organization": "o", "project": "p", "url": "u", "version": "1", "contact": ["c"]},
        "suite": {"name": "s", "seed": 0},
        "environment": {"provider": "local"},
        "profiles": [
            {
                "name": "P",
                "summary": "",
                "core": {
                    "result": "failure" if failed else "success",
                    "statistics": {"Passed": 0 if failed else len(tests), "Skipped": 0, "Failed": int(failed)},
                    "skippedTests": [],
                    "failedTests": [one["id"] for one in tests if one["verdict"] == "failed"],
                    "supportedFeatures": [] if failed else ["One"],
                    "unsupportedFeatures": [],
                    "unprovenFeatures": [],
                },
                "inconclusiveTests": [],
                "waivedTests": [],
            }
        ],
        "succeededProvisionalTests": [],
        "tests": list(tests),
    }


class Tags(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.ids: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.ids += [value for name, value in attrs if name == "id"]
        self.attributes |= {name for name, _ in attrs}


def tags(text):
    found = Tags()
    found.feed(text)
    return found


def test_a_failure_is_open_and_says_how_to_run_it_again():
    text = page.render(report(check(verdict="failed", message="wanted v1"), exit_code=1))

    assert re.search(r'<details class="check" id="check-0"[^>]* open>', text)
    assert "wanted v1" in text
    assert "pytest &#39;t::a[x]&#39;" in text


def test_the_command_draws_what_the_run_drew():
    data = report(check(verdict="failed"), exit_code=1)
    data["suite"].update(seed=7, hypothesisProfile="nightly")

    assert "pytest &#39;t::a[x]&#39; --mesh-seed=7 --hypothesis-profile=nightly</code>" in page.render(data)


def test_the_page_counts_claims_as_the_report_does():
    text = page.render(report(check(evidence={"alpha": 2e-6, "claims": 2}), check("t::b", evidence={"alpha": 1e-6})))

    assert "over 3 sampling claims at most 3e-06" in text


def test_hostile_text_is_shown_as_text_everywhere():
    one = check(f"t::{HOSTILE}", "failed", message=HOSTILE, bundle=HOSTILE, evidence={HOSTILE: HOSTILE})
    data = report(one, exit_code=1)
    data["implementation"].update(project=HOSTILE, version=HOSTILE, url=HOSTILE)
    data["environment"][HOSTILE] = HOSTILE

    text = page.render(data, lambda bundle: {HOSTILE: HOSTILE, bundle: HOSTILE})

    found = tags(text)
    assert found.scripts == 1
    assert "onload" not in found.attributes
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "49" not in text.replace("{{ 7 * 7 }}", "")


@settings(max_examples=30, deadline=None)
@given(name=st.text(), value=st.one_of(st.text(), st.integers(), st.lists(st.text())))
def test_no_report_adds_a_script_or_control_characters(name, value):
    text = page.render(report(check(evidence={"timeline": [value], name: value}, message=name)))

    assert tags(text).scripts == 1
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)


def test_no_two_checks_share_an_anchor():
    text = page.render(report(check("t::a[x-y]"), check("t::a[x/y]"), check("t::a[x y]")))

    ids = tags(text).ids
    assert len(ids) == len(set(ids))


def test_a_split_is_drawn_with_what_it_claims_and_what_was_seen():
    text = plots.split(
        {"counts": {"v1": 960, "v2": 240}, "shares": {"v1": 0.8, "v2": 0.2}, "delta": 0.05, "beta": 0.001}
    )

    assert "Split of 1200 requests: v1 80.00 % of claimed 80 %, v2 20.00 % of claimed 20 %" in text
    assert text.count('class="tolerance"') == 2


def test_an_answer_from_a_stranger_is_in_the_picture():
    assert "v3 10.00 % of claimed 0 %" in plots.split(
        {"counts": {"v1": 9, "v3": 1}, "shares": {"v1": 1.0}, "delta": 0.05}
    )


@pytest.mark.parametrize("facts", [{}, {"counts": {"v1": 1}}, {"counts": [], "shares": {}, "delta": 1}])
def test_a_check_without_a_split_has_no_picture(facts):
    assert plots.split(facts) == ""


def test_a_timeline_reads_sentences_and_records():
    text = plots.timeline(["1.5 s: control plane up", {"seconds": 3, "event": "renewed"}, "no time"])

    assert "Timeline of 2 events over 3.0 s" in text


def test_files_of_a_bundle_are_cut_at_the_front_and_lose_their_secrets(tmp_path):
    below = tmp_path / "bundle" / "ns"
    below.mkdir(parents=True)
    (below / "applied.yaml").write_text("password: hunter22\n" + "x" * 50_000 + "end")
    (below / "config-dump.json").write_text("{}")

    found = page.read_files(tmp_path)("bundle")

    assert list(found) == ["ns/applied.yaml"]
    assert found["ns/applied.yaml"].endswith("end")
    assert len(found["ns/applied.yaml"]) < 41_000


def test_the_command_writes_the_page(tmp_path):
    source, target = tmp_path / "r.yaml", tmp_path / "r.html"
    source.write_text(documents.write(report(check())))

    result = CliRunner().invoke(command, ["html", str(source), "-o", str(target)])

    assert result.exit_code == 0, result.output
    assert target.read_text().startswith("<!doctype html>")


def test_the_page_asks_for_nothing_from_elsewhere():
    text = page.render(report(check()))

    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", text)


@pytest.mark.parametrize(
    ("check", "command"),
    [
        ("mesh_conformance/routing/test_seed.py::test_it[a-b]", "pytest --pyargs mesh_conformance -k test_it"),
        ("tests/test_mine.py::test_it[a b]", "pytest 'tests/test_mine.py::test_it[a b]'"),
    ],
)
def test_a_check_is_run_again_by_where_it_comes_from(check, command):
    assert page._again(check) == command
