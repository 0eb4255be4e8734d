"""What says the same in other words routes the same: for meshes of which nobody has a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from hypothesis import settings as hypothesis_settings

from mesh_conformance.properties.cell_stage import PRINTED_HOST, CellStage
from mesh_conformance.properties.laws import LAWS, answer, rewritten, sharp
from pytest_mesh import documents
from pytest_mesh.contracts import Json, Observation, Request
from pytest_mesh.failures import MeshFailure
from pytest_mesh.settings import MeshSettings
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.cells import HOST, Cell
from pytest_mesh.strategies.routes import draw_cells
from pytest_mesh.traffic.splits import Draw

SHARE = 4
"""One generated cell in so many of the profile's examples: two go out for each."""
PAIRS = 50
"""So many pairs go out in one push."""
SCALED_HOSTS = ("sevenths.test", "hundredths.test")


@pytest.mark.mesh_feature("VSRewritten")
@pytest.mark.parametrize("name", LAWS)
def test_routes_said_in_other_words_answer_the_same(
    cell_stage: CellStage, mesh_settings: MeshSettings, name: str
) -> None:
    random = Random(mesh_settings.seed)  # noqa: S311 - reproducible, not secret
    number = max(1, hypothesis_settings().max_examples // SHARE)
    plain = [sharp(cell) for cell in draw_cells(number, mesh_settings.seed)]
    requests, wrong = 0, []
    for part in _parts(plain):
        # Beside each other, so that both meet the mesh at the same time.
        cells = [one for cell in part for one in (cell, rewritten(cell, LAWS[name], random))]
        answers = cell_stage.answers(cells)
        requests += len(answers)
        for index, cell in enumerate(part):
            for sent in cell.requests:
                seen = [answer(answers[place, sent], cell_stage.host(place)) for place in (2 * index, 2 * index + 1)]
                if seen[0] != seen[1]:
                    wrong.append((cells[2 * index], cells[2 * index + 1], sent, seen))

    cell_stage.namespace.facts(cells=number, law=name, requests=requests, seed=mesh_settings.seed)
    if wrong:
        before, after, sent, seen = wrong[0]
        raise MeshFailure(
            f"{(LAWS[name].__doc__ or name).splitlines()[0]} That changes nothing, but {len(wrong)} answers differ (seed {mesh_settings.seed}); "
            f"the first is {sent}:\n{_told(before, seen[0])}\n{_told(after, seen[1])}"
        )


@pytest.mark.mesh_feature("VSRewritten")
def test_weights_of_any_scale_share_out_alike(cell_stage: CellStage) -> None:
    """7 to 3 is 70 to 30: where the two differ on a request, each is v1 as often as the other.

    An error of 10 points here is one of 4 in a weight, for the two differ in 42 requests of 100.
    """
    namespace = cell_stage.namespace
    namespace.apply([_weighted(host, scale) for host, scale in zip(SCALED_HOSTS, (1, 10), strict=True)], wait=False)
    cell_stage.pass_sentinel()
    both = tuple(Request(url=f"http://{cast.TARGET}/", headers=(("host", host),)) for host in SCALED_HOSTS)

    def draw(number: int) -> Draw:
        seen: tuple[list[Observation], list[Observation]] = ([], [])
        for one in cell_stage.send(both, count=2 * number):
            seen[one.request].append(one)
        pairs = [
            (first.echo.version, second.echo.version)
            for first, second in zip(*seen, strict=True)
            if first.echo and second.echo
        ]
        failures = {"no answer of a workload": 2 * number - len(pairs)} if len(pairs) < 2 * number else {}
        counts = {"7 to 3": pairs.count(("v1", "v2")), "70 to 30": pairs.count(("v2", "v1"))}
        return Draw(counts=counts, failures=failures)

    cell_stage.client.assert_shares(
        "weights 7 to 3 and 70 to 30, which of the two is v1 where they differ",
        draw,
        {"7 to 3": 50, "70 to 30": 50},
        delta=10,
    )


@pytest.mark.mesh_feature("VSRewritten")
def test_two_hosts_in_one_virtual_service_are_two_virtual_services(
    cell_stage: CellStage, mesh_settings: MeshSettings
) -> None:
    """A VirtualService may be divided by its hosts; each half routes what the whole did."""
    number = max(1, hypothesis_settings().max_examples // SHARE)
    drawn = [sharp(cell) for cell in draw_cells(2 * number, mesh_settings.seed)]
    # A rule that names its own host says another thing on each of two.
    plain = [cell for cell in drawn if HOST not in json.dumps(cell.http)][:number]
    requests, wrong = 0, []
    for part in _parts(plain):
        apart = cell_stage.answers([cell for cell in part for _ in range(2)])
        together = cell_stage.answers_of_pairs(part)
        requests += len(together)
        for place, sent in together:
            seen = [
                answer(apart[place, sent], cell_stage.host(place)),
                answer(together[place, sent], cell_stage.pair_host(place)),
            ]
            if seen[0] != seen[1]:
                wrong.append((part[place // 2], place, sent, seen))

    cell_stage.namespace.facts(cells=len(plain), law="hosts", requests=requests, seed=mesh_settings.seed)
    if wrong:
        cell, place, sent, seen = wrong[0]
        raise MeshFailure(
            f"the {'first' if place % 2 == 0 else 'second'} host of a VirtualService answers otherwise than in a "
            f"VirtualService of its own, {len(wrong)} times (seed {mesh_settings.seed}); the first is {sent}:\n"
            f"{_told(cell, seen[0])}\n  with both hosts in one: {seen[1]}"
        )


def _weighted(host: str, scale: int) -> Json:
    branches = [
        {"destination": {"host": cast.TARGET, "subset": subset}, "weight": weight * scale}
        for subset, weight in (("v1", 7), ("v2", 3))
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": host.removesuffix(".test")},
        "spec": {"hosts": [host], "http": [{"route": branches}]},
    }


def _parts(cells: Sequence[Cell]) -> Iterator[Sequence[Cell]]:
    return (cells[begin : begin + PAIRS] for begin in range(0, len(cells), PAIRS))


def _told(cell: Cell, seen: Json) -> str:
    document = documents.write(cell.virtual_service("cell", PRINTED_HOST))
    return "\n".join(["  under", *(f"    {line}" for line in document.splitlines()), f"  gives {seen}"])
