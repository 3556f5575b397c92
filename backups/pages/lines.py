"""Lines of device text as HTML: escaped, and with nothing in them that the eye does not see.

Device text is hostile. A carriage return, an escape sequence or a sign that turns the direction of
writing can make a line look like another one (CVE-2021-42574), so they are shown as signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from django.utils.safestring import SafeString, mark_safe

from backups.engine.colouring import Part, PartKind
from backups.engine.diff.side_by_side import Marks

#: Of a longer line the rest is left to the download.
LONGEST_SHOWN_LINE = 5_000

#: Control characters but the tab, signs of writing direction, signs without width, and halves of
#: surrogate pairs, which are no characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def text_html(text: str) -> SafeString:
    """``text`` escaped, with what cannot be seen shown as a sign."""
    return mark_safe(_escaped(text))  # noqa: S308  # escaped in the same breath


def parts_html(parts: Iterable[Part]) -> SafeString:
    """The parts of one line, coloured."""
    html: list[str] = []
    room = LONGEST_SHOWN_LINE
    for kind, text in parts:
        shown = _escaped(text[:room])
        html.append(
            shown if kind is PartKind.PLAIN else f'<span class="nr-c-{kind}">{shown}</span>'
        )
        room -= len(text)
        if room < 0:
            html.append(_rest(-room))
            break
    return mark_safe("".join(html))  # noqa: S308  # each part is escaped


def marked_html(line: str, marks: Marks) -> SafeString:
    """One line of a comparison with ``marks`` on what differs in it."""
    html: list[str] = []
    at = 0
    for start, end in marks:
        html += [_escaped(line[at:start]), f"<mark>{_escaped(line[start:end])}</mark>"]
        at = end
    html.append(_escaped(line[at : max(at, LONGEST_SHOWN_LINE)]))
    if len(line) > max(at, LONGEST_SHOWN_LINE):
        html.append(_rest(len(line) - max(at, LONGEST_SHOWN_LINE)))
    return mark_safe("".join(html))  # noqa: S308  # each part is escaped


def numbered_html(lines: Iterable[Sequence[Part]], *, first: int) -> SafeString:
    """Coloured lines with their numbers, from ``first`` on, each with an anchor ``L12``."""
    return mark_safe(  # noqa: S308  # numbers, and parts that are escaped
        "".join(
            f'<div class="nr-l" id="L{number}"><a href="#L{number}" tabindex="-1" '
            f'data-n="{number}" aria-label="Line {number}"></a><code>{parts_html(parts)}</code>'
            "</div>\n"
            for number, parts in enumerate(lines, start=first)
        )
    )


def _rest(count: int) -> str:
    return f'<span class="nr-sign">… {count} more characters</span>'


def _escaped(text: str) -> str:
    return _UNSEEN.sub(_sign, escape(text))


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    shown = chr(0x2400 + code) if code < 0x20 else f"U+{code:04X}"
    return f'<span class="nr-sign" title="U+{code:04X}">{shown}</span>'
