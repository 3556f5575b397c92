"""Two texts next to each other: every line once, folds, and marks inside lines."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.engine.diff.lines import align
from backups.engine.diff.side_by_side import LONGEST_MARKED_LINE, Row, RowKind, side_by_side

_LINE = st.sampled_from(["!", " a 1", " a 2", "b", "", "ä 😀 x", "ä 😀 y"])
_LINES = st.lists(_LINE, max_size=40)


def rows(old: list[str], new: list[str], context: int = 3) -> list[Row]:
    return list(side_by_side(old, new, align(old, new), context=context))


@settings(deadline=None)
@given(_LINES, _LINES, st.integers(0, 3))
def test_every_line_stands_there_once_in_order(old: list[str], new: list[str], n: int) -> None:
    old_at = new_at = 0
    for row in rows(old, new, n):
        if row.old_no is not None:
            assert row.old_no == old_at + 1
            assert row.kind is RowKind.FOLD or row.old == old[old_at]
            old_at += row.count
        if row.new_no is not None:
            assert row.new_no == new_at + 1
            assert row.kind is RowKind.FOLD or row.new == new[new_at]
            new_at += row.count
    assert (old_at, new_at) == (len(old), len(new))


@settings(deadline=None)
@given(_LINES, _LINES)
def test_what_is_not_marked_is_equal(old: list[str], new: list[str]) -> None:
    for row in rows(old, new):
        assert all(0 <= a < b <= len(row.old) for a, b in row.old_marks)
        assert all(0 <= a < b <= len(row.new) for a, b in row.new_marks)
        if row.old_marks or row.new_marks:
            assert row.kind is RowKind.CHANGED
            assert without(row.old, row.old_marks) == without(row.new, row.new_marks)


def without(line: str, marks: tuple[tuple[int, int], ...]) -> str:
    for start, end in reversed(marks):
        line = line[:start] + line[end:]
    return line


def test_marks_are_in_code_points() -> None:
    (row,) = rows(["  ä 😀 vlan 10 name x"], ["  ä 😀 vlan 200 name x"])
    assert row.kind is RowKind.CHANGED
    assert row.old[slice(*row.old_marks[0])] == "10"
    assert row.new[slice(*row.new_marks[0])] == "200"
    assert (len(row.old_marks), len(row.new_marks)) == (1, 1)


def test_a_mark_does_not_begin_at_a_combining_character() -> None:
    (row,) = rows(["description cafe\u0301 1"], ["description cafe\u0300 1"])
    assert (row.old_marks, row.new_marks) == (((12, 17),), ((12, 17),))


def test_kinds_and_numbers() -> None:
    old = ["a", "b 1 x", "c"]
    new = ["a", "b 2 x", "new", "c"]
    kinds = [(row.kind.value, row.old_no, row.new_no) for row in rows(old, new)]
    assert kinds == [
        ("equal", 1, 1),
        ("changed", 2, 2),
        ("added", None, 3),
        ("equal", 3, 4),
    ]
    assert [(r.kind.value, r.old_no, r.new_no) for r in rows(["x", "y"], ["x"])] == [
        ("equal", 1, 1),
        ("removed", 2, None),
    ]


def test_a_changed_line_stands_beside_what_it_became() -> None:
    old = ["interface A", " mtu 1500", " description a"]
    new = ["interface A", " no shutdown", " speed 10", " mtu 9000", " description b"]
    assert [(row.kind.value, row.old, row.new) for row in rows(old, new)] == [
        ("equal", "interface A", "interface A"),
        ("added", "", " no shutdown"),
        ("added", "", " speed 10"),
        ("changed", " mtu 1500", " mtu 9000"),
        ("changed", " description a", " description b"),
    ]


@pytest.mark.parametrize(("count", "kinds"), [(7, "equal"), (8, "fold")])
def test_a_fold_hides_more_than_one_line(count: int, kinds: str) -> None:
    middle = [f"line {number}" for number in range(count)]
    found = rows(["a 1", *middle, "b 1"], ["a 2", *middle, "b 2"], 3)
    assert found[4].kind.value == kinds
    assert sum(row.count for row in found) == count + 2


def test_long_equal_runs_are_folded() -> None:
    old = [f"line {number}" for number in range(100)]
    new = [*old[:50], "new", *old[50:]]
    found = [(row.kind.value, row.old_no, row.new_no, row.count) for row in rows(old, new, 2)]
    assert found == [
        ("fold", 1, 1, 48),
        ("equal", 49, 49, 1),
        ("equal", 50, 50, 1),
        ("added", None, 51, 1),
        ("equal", 51, 52, 1),
        ("equal", 52, 53, 1),
        ("fold", 53, 54, 48),
    ]


def test_equal_texts_are_one_fold() -> None:
    assert [(row.kind.value, row.count) for row in rows(["a"] * 9, ["a"] * 9)] == [("fold", 9)]
    assert rows([], []) == []


def test_long_and_unlike_lines_have_no_marks() -> None:
    long = "a b " * (LONGEST_MARKED_LINE // 4 + 1)
    word = "x" * LONGEST_MARKED_LINE
    unlike = ("alpha beta gamma", "1 + 2 = 3 or not")
    for old, new in [(long + "1", long + "2"), (f"{word} 1", f"{word} 2"), unlike]:
        (row,) = rows([old], [new])
        assert (row.kind, row.old_marks, row.new_marks) == (RowKind.CHANGED, (), ())


def test_hostile_lines_take_no_longer_than_others() -> None:
    generator = random.Random(1)  # noqa: S311 - the same texts in each run
    old, new = ([" ".join(generator.choices("ab", k=140)) for _ in range(5_000)] for _ in range(2))
    begun = time.process_time()
    assert len(rows(old, new)) == 5_000
    islands = [[f"{n // 15}"] * (n % 15 == 0) + [line] for n, line in enumerate(old)]
    uneven = [line for island in islands for line in island]
    assert len(rows(uneven, [line for line in uneven if generator.random() > 0.1])) > 500
    # Measured: 0.4 s.
    assert time.process_time() - begun < 10
