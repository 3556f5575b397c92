"""CSV in which nothing is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.csv_output import csv_cell, csv_lines, csv_text

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "－1"]  # noqa: RUF001


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_a_text(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


def test_numbers_and_plain_texts_stay_and_none_is_empty() -> None:
    values = [-1, -0.5, True, None, "core-sw1", "a=b", "", "10.0.0.1"]
    assert [csv_cell(value) for value in values] == [
        *(-1, -0.5, True, "", "core-sw1", "a=b", "", "10.0.0.1")
    ]


@given(st.lists(st.lists(st.text(alphabet=st.characters(codec="utf-8")), min_size=2, max_size=2)))
def test_what_is_written_is_read_again_and_begins_no_formula(rows: list[list[str]]) -> None:
    text = "".join(csv_lines(["one", "two"], rows))
    header, *read = list(csv.reader(io.StringIO(text, newline="")))
    assert header == ["one", "two"]
    assert [[csv_text(cell) for cell in row] for row in read] == rows
    assert not any(cell.startswith(tuple("=+-@\t\r\n")) for row in read for cell in row)


def test_lines_come_one_by_one() -> None:
    asked: list[int] = []

    def rows() -> Iterator[list[int]]:
        for number in range(3):
            asked.append(number)
            yield [number]

    lines = csv_lines(["number"], rows())
    assert next(lines) == "number\r\n"
    assert asked == []
    assert next(lines) == "0\r\n"
    assert asked == [0]


@pytest.mark.parametrize("text", ["=1+1", "'=1+1", "''@x", "'quoted'", "plain", "-1", "", "'"])
def test_a_cell_that_was_made_safe_gives_its_text_again(text: str) -> None:
    cell = str(csv_cell(text))
    assert csv_text(cell) == text
    assert not cell.startswith(("=", "@", "-"))
