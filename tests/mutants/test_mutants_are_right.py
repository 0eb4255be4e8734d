"""The catalogue of mutants: each can be made of the reference as it is, and each check of the suite has one."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import failures  # noqa: E402 - found by the line above
import matrix  # noqa: E402
import patching  # noqa: E402
import reasons  # noqa: E402
import running  # noqa: E402

from mesh_conformance.catalogue import FEATURES  # noqa: E402
from pytest_mesh.implementations import SHIPPED  # noqa: E402

CATALOGUE = patching.load()


@pytest.mark.parametrize("mutant", CATALOGUE.values(), ids=CATALOGUE)
def test_a_mutant_changes_one_place_of_its_modules_and_is_a_program(mutant):
    for change in mutant.changes:
        spec = importlib.util.find_spec(change.module)
        source = Path(spec.origin).read_text()

        changed = mutant.applied(change.module, source)

        assert changed != source
        compile(changed, spec.origin, "exec")


def test_a_mutant_whose_text_is_gone_is_an_error():
    mutant = next(iter(CATALOGUE.values()))
    with pytest.raises(patching.MutantError, match="stands 0 times"):
        mutant.applied(mutant.changes[0].module, "")


def test_each_mutant_says_what_it_breaks_and_which_checks_must_find_it():
    assert [one.id for one in CATALOGUE.values() if not (one.says and one.row and (one.kills or one.spares))] == []


def test_sixty_mutants_at_least_are_to_be_killed():
    assert sum(not one.equivalent for one in CATALOGUE.values()) >= 60


def test_every_declared_check_exists(checks):
    of_reference = [one for one in CATALOGUE.values() if one.layer == "reference"]
    assert {check for one in of_reference for check in (*one.kills, *one.spares)} - set(checks) == set()


def test_every_declared_test_of_the_project_exists():
    named = [
        kill.partition("[")[0].split("::") for one in CATALOGUE.values() if one.layer == "harness" for kill in one.kills
    ]

    assert named
    assert [test for file, test in named if f"def {test}(" not in (HERE.parent / file).read_text()] == []


@pytest.fixture(scope="module")
def checks():
    return running.collected()


def test_a_process_runs_the_changed_module_and_leaves_the_file_alone():
    mutant = CATALOGUE["weights-all-equal"]
    path = Path(importlib.util.find_spec(mutant.changes[0].module).origin)
    before = path.read_text()
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r}); import patching\n"
        f"patching.install(patching.load()[{mutant.id!r}])\n"
        f"import inspect, mesh_reference.xds.route_actions as it\n"
        f"print(it._add_branch.__code__.co_consts)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "100" in done.stdout
    assert path.read_text() == before


def test_each_check_of_the_suite_has_a_mutant_that_it_must_find(checks):
    assert matrix.useless_checks(checks, matrix.declared(CATALOGUE.values())) == []


def test_a_check_that_no_mutant_makes_fail_is_told():
    assert matrix.useless_checks(["a", "b"], {"m": {"a": "failed", "b": "passed"}}) == ["b"]


def test_the_implementation_file_of_a_mutant_runs_the_mutant_everywhere():
    text = running.implementation(CATALOGUE["weights-all-equal"])
    assert "mesh_reference.cli" not in text
    assert text.count('run.py", "weights-all-equal"') == 4


def test_a_mutant_that_a_check_does_not_find_survives():
    mutant = CATALOGUE["weights-off-by-some-points"]
    (check,) = mutant.kills

    assert matrix.survivors(mutant, running.Run(verdicts={check: "failed"})) == []
    for verdict in ("passed", "inconclusive"):
        assert matrix.survivors(mutant, running.Run(verdicts={check: verdict})) == [
            f"{mutant.id}: {check} is {verdict}, declared failed"
        ]


@pytest.mark.parametrize("verdict", ["not-applicable", "skipped", "infrastructure"])
def test_a_check_that_did_not_look_says_nothing_of_a_mutant(verdict):
    mutant = CATALOGUE["weights-off-by-some-points"]
    (check,) = mutant.kills
    run = running.Run(verdicts={check: verdict}, messages={check: "the reason\nand more"})

    assert matrix.survivors(mutant, run) == []
    assert matrix.not_run(mutant, run) == f"{check} is {verdict}: the reason"
    assert matrix.not_run(mutant, running.Run()) == f"{check} is not run"
    assert matrix.not_run(mutant, running.Run(verdicts={check: "passed"})) == ""


def test_what_cannot_be_had_of_a_mesh_is_listed_and_the_exit_code_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(running, "collected", list)
    arguments = ["--layer", "proxy", "--behind", str(SHIPPED["none"]), "--report", str(tmp_path / "mutants.json")]

    done = CliRunner().invoke(matrix.main, arguments)

    proxied = [one.id for one in CATALOGUE.values() if one.layer == "proxy"]
    assert done.exit_code == matrix.EXIT_NOT_ALL
    assert (
        re.findall(r"^not run: ([\w-]+): .*none\.toml: has no manifests_command", done.stdout, re.MULTILINE) == proxied
    )
    assert f"0 are not as declared; {len(proxied)} not run" in done.stdout


JUNIT = """<testsuites><testsuite>
<testcase classname="conformance.mesh_conformance.routing.test_seed" name="test_a[x]">
 <failure message="pytest_mesh.failures.NotConverged: shop: the proxy does not route by it">E ...</failure></testcase>
<testcase classname="conformance.mesh_conformance.routing.test_seed" name="test_b"><failure message="assert 1 == 2">E</failure></testcase>
<testcase classname="conformance.mesh_conformance.routing.test_seed" name="test_c">
 <failure message="pytest_mesh.failures.SplitFailure: 90 of 200">E</failure></testcase>
<testcase classname="conformance.mesh_conformance.routing.test_seed" name="test_d">
 <error message="failed on setup with &quot;AssertionError: nothing is captured&quot;">E   AssertionError: nothing</error></testcase>
<testcase classname="tests.report.test_it" name="test_e"><failure message="KeyError: 'x'">E   KeyError: 'x'</failure></testcase>
<testcase classname="tests.report.test_it" name="test_f"><failure message="def test_f():&#10;    ...">    x
E       pytest_mesh.failures.NotConverged: late</failure></testcase>
<testcase classname="tests.report.test_it" name="test_g"/>
<testcase classname="tests.report.test_it" name="test_h"><skipped message="no"/></testcase>
</testsuite></testsuites>"""


def test_why_a_check_failed_is_told_apart(tmp_path):
    (tmp_path / "results.xml").write_text(JUNIT)

    found = {one.test.rpartition("::")[2]: one for one in reasons.read(tmp_path / "results.xml")}

    assert {name: one.kind for name, one in found.items()} == {
        "test_a[x]": "not converged",
        "test_b": "assertion",
        "test_c": "assertion",
        "test_d": "fixture",
        "test_e": "KeyError",
        "test_f": "not converged",
        "test_g": "",
        "test_h": "",
    }
    assert [one.verdict for one in found.values()] == [*["failed"] * 6, "passed", "skipped"]
    assert found["test_a[x]"].test == "routing/test_seed.py::test_a[x]"
    assert found["test_g"].test == "report/test_it.py::test_g"


def test_the_parts_of_the_catalogue_are_all_of_it_and_each_once():
    mutants = list(CATALOGUE.values())
    parts = [matrix.part_of(mutants, f"{number}/7") for number in range(1, 8)]

    assert sorted(one.id for part in parts for one in part) == sorted(CATALOGUE)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for wrong in ("0/7", "8/7", "7", "a/b", "1/"):
        with pytest.raises(click.UsageError, match="I/N is wanted"):
            matrix.part_of(mutants, wrong)


def test_an_equivalent_mutant_that_a_check_finds_is_told():
    mutant = CATALOGUE["weights-tenfold"]
    seen = dict.fromkeys(mutant.spares, "failed")

    assert mutant.equivalent
    assert len(matrix.survivors(mutant, running.Run(verdicts=seen))) == len(mutant.spares)


def test_the_page_of_mutants_tells_of_the_catalogues_own_and_of_most_of_them():
    text = (HERE.parents[1] / "docs" / "mutants.md").read_text()
    told = re.findall(r"^\| `([\w-]+)` \| ([^|]*) \|", text, flags=re.MULTILINE)

    assert {name for name, _ in told} - set(CATALOGUE) == set()
    assert len(told) >= 100
    for name, second in told:
        assert second == (CATALOGUE[name].says if CATALOGUE[name].equivalent else CATALOGUE[name].row)


def test_the_page_of_failures_shows_mutants_that_the_catalogue_has_as_the_suite_tells_of_them():
    text = (HERE.parents[1] / "docs" / "failures.md").read_text()
    features = {one.id: one for one in FEATURES}

    assert {one.profile for one in failures.SHOWN} == {one.profile for one in FEATURES}
    for one in failures.SHOWN:
        assert one.check in CATALOGUE[one.mutant].kills
        head = f"## {one.profile}: {CATALOGUE[one.mutant].says}\n\nMutant `{one.mutant}`, check `{one.check}`:\n"
        story = text.split(head)[1].split("\n## ")[0]
        assert re.search(r"^E +\S", story, flags=re.MULTILINE)
        (feature,) = re.findall(r"^(\w+) \([A-Z-]+, \w+\)", story, flags=re.MULTILINE)
        assert f"{feature} ({one.profile}, {features[feature].level}): {features[feature].title}" in story
        assert features[feature].link in story


def test_the_page_of_failures_is_held_against_every_word_but_not_against_numbers():
    text = (HERE.parents[1] / "docs" / "failures.md").read_text()
    other = text.replace("93 of 200 = 46.50 %", "101 of 200 = 50.50 %").replace(
        "mesh-routing-418ead", "mesh-routing-0a1b2c"
    )

    assert other != text
    assert failures.differences(text, other) == []
    for word in ("claimed", "SvidUriSan", "withoutHeaders", "RejectsInvalid", "mesh-implementation"):
        assert failures.differences(text, text.replace(word, "something", 1)) != []
