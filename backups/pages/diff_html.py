"""Rows of a comparison as rows of a table, side by side or one below the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from django.utils.safestring import SafeString, mark_safe

from backups.engine.diff.side_by_side import Row, RowKind
from backups.pages.lines import marked_html

#: The address that answers with the rows that a fold hides.
FoldAddress = Callable[[Row], str]
#: A class of the first row of each change, by which scripts and links find it.
_CHANGE = "nr-change"


def side_html(rows: Iterable[Row], fold_address: FoldAddress) -> SafeString:
    """Both texts next to each other: number and line, twice."""
    html: list[str] = []
    for row, starts in _with_starts(rows):
        if row.kind is RowKind.FOLD:
            html.append(_fold(row, fold_address(row), columns=4))
            continue
        html.append(
            f"<tr{_classes(row, starts)}>"
            f"{_cells(row.old_no, _old(row), _side_class(row, 'old', RowKind.REMOVED))}"
            f"{_cells(row.new_no, _new(row), _side_class(row, 'new', RowKind.ADDED))}</tr>\n"
        )
    return mark_safe("".join(html))  # noqa: S308  # of escaped lines


def unified_html(rows: Iterable[Row], fold_address: FoldAddress) -> SafeString:
    """One text: of each change first the lines that went, then those that came."""
    html: list[str] = []
    for is_change, group in groupby(rows, key=lambda row: row.kind not in _QUIET):
        stretch = list(group)
        if is_change:
            html += _change(stretch)
            continue
        for row in stretch:
            if row.kind is RowKind.FOLD:
                html.append(_fold(row, fold_address(row), columns=3))
            else:
                html.append(_line(row.old_no, row.new_no, _new(row), ""))
    return mark_safe("".join(html))  # noqa: S308  # of escaped lines


_QUIET = frozenset({RowKind.EQUAL, RowKind.FOLD})


def _with_starts(rows: Iterable[Row]) -> Iterator[tuple[Row, bool]]:
    """Each row, and whether a change begins with it."""
    was_quiet = True
    for row in rows:
        is_quiet = row.kind in _QUIET
        yield row, was_quiet and not is_quiet
        was_quiet = is_quiet


def _change(rows: Sequence[Row]) -> list[str]:
    gone = [row for row in rows if row.old_no is not None]
    come = [row for row in rows if row.new_no is not None]
    lines = [_line(row.old_no, None, _old(row), "nr-old") for row in gone]
    lines += [_line(None, row.new_no, _new(row), "nr-new") for row in come]
    lines[0] = lines[0].replace("<tr", f'<tr class="{_CHANGE}" tabindex="-1"', 1)
    return lines


def _line(old_no: int | None, new_no: int | None, text: str, name: str) -> str:
    return (
        f'<tr><td class="nr-n">{old_no or ""}</td>{_cells(new_no, text, name or "nr-same")}</tr>\n'
    )


def _classes(row: Row, starts: bool) -> str:
    return f' class="{_CHANGE}" tabindex="-1"' if starts else ""


def _side_class(row: Row, side: str, kind: RowKind) -> str:
    if row.kind in (kind, RowKind.CHANGED):
        return f"nr-{side}"
    return "nr-same" if row.kind is RowKind.EQUAL else "nr-none"


def _cells(number: int | None, text: str, name: str) -> str:
    return f'<td class="nr-n">{number or ""}</td><td class="nr-t {name}">{text}</td>'


def _old(row: Row) -> str:
    return marked_html(row.old, row.old_marks)


def _new(row: Row) -> str:
    return marked_html(row.new, row.new_marks)


def _fold(row: Row, address: str, *, columns: int) -> str:
    # Without scripts the link shows the page with all equal lines.
    return (
        f'<tr class="nr-fold"><td colspan="{columns}"><a href="{escape(address)}" '
        f'hx-get="{escape(address)}" hx-target="closest tr" hx-swap="outerHTML">'
        f"Show {row.count} equal lines</a></td></tr>\n"
    )


def patch_html(lines: Iterable[str]) -> SafeString:
    """Lines of a unified diff as rows of a table with one column."""
    return mark_safe("".join(map(_patch_row, lines)))  # noqa: S308  # of escaped lines


def _patch_row(line: str) -> str:
    name = _PATCH_CLASSES.get(line[:1], "nr-same")
    text = line if name == "nr-hunk" else line[1:]
    return f'<tr><td class="nr-t {name}">{marked_html(text, ())}</td></tr>\n'


_PATCH_CLASSES = {"-": "nr-old", "+": "nr-new", "@": "nr-hunk"}
