"""CSV that a spreadsheet opens without running anything that stands in it.

A cell that begins with one of a few signs is a formula to spreadsheets, whatever quotes are around
it (OWASP, "CSV Injection"). Much of what is written here was said by devices.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

#: The ASCII signs and the full-width forms that some programs take for them.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


def csv_cell(value: object) -> object:
    """``value`` as it may stand in a cell.

    None is an empty cell. A text that would be a formula gets an apostrophe in front, by which
    spreadsheets know a text; numbers, also negative ones, stay numbers.
    """
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return f"'{text}" if _is_formula(text) else text


def csv_text(cell: str) -> str:
    """The text that ``csv_cell`` made ``cell`` of."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(text: str) -> bool:
    """Whether it begins like a formula, behind apostrophes that are part of the text itself."""
    return text.lstrip("'").startswith(_FORMULA_SIGNS)


def csv_lines(header: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The header and then one line per row, each with its line end (RFC 4180)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    yield _taken(buffer)
    for row in rows:
        writer.writerow([csv_cell(value) for value in row])
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
