"""What reports say of the oracle is the record of a differential run, and no more than that."""

from __future__ import annotations

import pytest

from pytest_mesh.oracle import confirmation


@pytest.mark.parametrize(("cells", "word"), [(1999, "unconfirmed: "), (2000, "confirmed by "), (0, "unconfirmed: ")])
def test_two_thousand_cells_confirm(monkeypatch: pytest.MonkeyPatch, cells: int, word: str) -> None:
    monkeypatch.setattr(confirmation, "CELLS", cells)
    assert confirmation.standing().startswith(word)


def test_the_record_names_istio_date_and_commit() -> None:
    for part in (confirmation.ISTIO, confirmation.DATE, confirmation.COMMIT, f"{confirmation.CELLS} cells"):
        assert part in confirmation.standing()
