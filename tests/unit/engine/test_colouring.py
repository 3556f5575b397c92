"""Parts of lines: nothing is lost, and no line takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.colouring import LONGEST_COLOURED_LINE, PartKind, coloured_lines


def kinds(*lines: str, sign: str | None = None) -> list[tuple[PartKind, str]]:
    """The parts of the first of ``lines``, without plain ones."""
    first = next(coloured_lines(lines, comment_sign=sign))
    return [part for part in first if part[0] is not PartKind.PLAIN]


@pytest.mark.parametrize(
    ("line", "kind", "part"),
    [
        ("! a comment", PartKind.COMMENT, "! a comment"),
        ("  # 192.0.2.1", PartKind.COMMENT, "  # 192.0.2.1"),
        ("system {", PartKind.HEADING, "system {"),
        (" no shutdown-timer 3", PartKind.NEGATION, "no"),
        ("ntp server 192.0.2.1", PartKind.ADDRESS, "192.0.2.1"),
        ("route 10.0.0.0/8", PartKind.ADDRESS, "10.0.0.0/8"),
        ("address 2001:db8::1/64", PartKind.ADDRESS, "2001:db8::1/64"),
        ("arp 0050.56ab.0001", PartKind.ADDRESS, "0050.56ab.0001"),
        ("mac 00:50:56:ab:00:01", PartKind.ADDRESS, "00:50:56:ab:00:01"),
        ('name "to no one"', PartKind.QUOTED, '"to no one"'),
        ("key <redacted:1f0c9a77>", PartKind.REDACTED, "<redacted:1f0c9a77>"),
        ("key <redacted:constant>", PartKind.REDACTED, "<redacted:constant>"),
        ("[REDACTED LINE]", PartKind.REDACTED, "[REDACTED LINE]"),
    ],
)
def test_what_is_coloured(line: str, kind: PartKind, part: str) -> None:
    assert kinds(line) == [(kind, part)]


@pytest.mark.parametrize("line", ["version 15.2.1.2.3", "nothing here", "at 10:30", "snooze"])
def test_what_is_not(line: str) -> None:
    assert kinds(line) == []


def test_headings_have_indented_lines_below() -> None:
    assert kinds("interface Vlan1", " ip address") == [(PartKind.HEADING, "interface Vlan1")]
    assert kinds("interface Vlan1", "", " x") == []
    assert kinds(" ip address dhcp", "!") == []


def test_the_platform_says_what_a_comment_is() -> None:
    assert kinds("; comment", sign=";") == [(PartKind.COMMENT, "; comment")]
    assert kinds("# no comment here", sign=";") == [(PartKind.NEGATION, "no")]
    assert kinds("# key <redacted:1f0c9a77>")[1] == (PartKind.REDACTED, "<redacted:1f0c9a77>")


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\n"))))
def test_parts_together_are_the_line(lines: list[str]) -> None:
    parts = coloured_lines(lines)
    assert ["".join(text for _, text in line) for line in parts] == lines


@pytest.mark.parametrize("unit", ['"', ":", "a:", "1.", "<redacted:", " no", "::", "ffff:"])
def test_no_line_takes_long(unit: str) -> None:
    lines = [unit * (LONGEST_COLOURED_LINE // len(unit))] * 200 + [unit * 500_000]
    start = time.process_time()
    for _ in coloured_lines(lines):
        pass
    assert time.process_time() - start < 1.5
