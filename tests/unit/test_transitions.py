"""Which status may follow which: the table is whole, and the documents show the same."""

from __future__ import annotations

import re

import pytest

from jobs.choices import (
    FINAL_RESULT_STATUSES,
    FINAL_RUN_STATUSES,
    OPEN_RESULT_STATUSES,
    OPEN_RUN_STATUSES,
    ResultStatus,
    RunStatus,
)
from jobs.policy.transitions import RESULT_MOVES, RUN_MOVES, Move
from netraven_site.config import PROJECT_DIR

_ARROW = re.compile(r"^    (\w+) --> (\w+): (.+)$", re.M)
_Arrow = tuple[str, str, str]


def arrows(moves: tuple[Move[RunStatus], ...] | tuple[Move[ResultStatus], ...]) -> list[_Arrow]:
    return [
        (str(source), str(target), move.name)
        for move in moves
        for source in move.sources
        for target in move.targets
    ]


def test_what_has_ended_never_moves() -> None:
    assert all(move.sources <= OPEN_RUN_STATUSES for move in RUN_MOVES)
    assert all(move.sources <= OPEN_RESULT_STATUSES for move in RESULT_MOVES)


def test_every_final_status_is_reached_and_every_open_one_left() -> None:
    assert {move for one in RUN_MOVES for move in one.targets} == set(RunStatus) - {"PENDING"}
    assert {move for one in RUN_MOVES for move in one.sources} == OPEN_RUN_STATUSES
    targets = {move for one in RESULT_MOVES for move in one.targets}
    assert targets == FINAL_RESULT_STATUSES | OPEN_RESULT_STATUSES
    assert {move for one in RESULT_MOVES for move in one.sources} == OPEN_RESULT_STATUSES


def test_from_every_open_status_a_run_can_be_ended_by_somebody() -> None:
    for status in OPEN_RUN_STATUSES:
        names = {move.name for move in RUN_MOVES if status in move.sources}
        assert {"cancel", "expire", "fail"} <= names
    assert FINAL_RUN_STATUSES.isdisjoint(OPEN_RUN_STATUSES)


@pytest.mark.parametrize(("place", "moves"), [(0, RUN_MOVES), (1, RESULT_MOVES)])
def test_the_diagrams_show_the_table(
    place: int, moves: tuple[Move[RunStatus], ...] | tuple[Move[ResultStatus], ...]
) -> None:
    text = (PROJECT_DIR / "docs/architecture.md").read_text(encoding="utf-8")
    diagram = re.findall(r"```mermaid\n(.*?)```", text, re.S)[place]
    assert sorted(_ARROW.findall(diagram)) == sorted(arrows(moves))
