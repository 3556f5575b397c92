"""From bytes to the same text for an unchanged device."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.normalise import clean_text, normalise
from inventory.platforms import get_platform
from inventory.platforms.definition import Pager

IOS = get_platform("cisco_ios")


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"a\r\nb\r\r\nc\rd\n", "a\nb\nc\nd\n"),
        (b"\r\n\r\na\n\n\n", "a\n"),
        (b"a", "a\n"),
        (b"", "\n"),
        (b"a\x1b[1;31mb\x1b[0m\x1b]0;title\x07c\x1b=d\n", "abcd\n"),
        (b"\xc2\x9b31mred\n", "red\n"),
        (b"ab\x08\x08xy\n", "xy\n"),
        (
            b"--More--" + 8 * b"\x08" + 8 * b" " + 8 * b"\x08" + b"line\n",
            "line\n",
        ),
        (b"\x08\x08a\n", "a\n"),
        (b"a\r\n--More--\r        \r b\r\n", "a\n b\n"),
        (b"a\r\n--More--\r        \r\r\nb\r\n", "a\n\nb\n"),
        (b"a\n\x1b[7m--More--\x1b[m\r\x1b[K  b\n", "a\n  b\n"),
        (b"a\n--More--\x1b[9D\x1b[K--More--\x1b[9D\x1b[K b\n", "a\n b\n"),
        (b"a\n<--- More --->\r              \rb\n", "a\nb\n"),
        (b"a\r\r\rb\r\r\n", "a\n\n\nb\n"),
        (b"a\x00b\x07c\td\x7f\n", "abc\td\n"),
        ("caf\u00e9 \u202eevil\u200b\n".encode(), "caf\u00e9 \\u202eevil\\u200b\n"),
        (
            b"\xe9\r\nPress any key to continue\r\n(more)\r\r\n",
            "\\xe9\nPress any key to continue\n(more)\n",
        ),
        (b"\xff\xfe\n", "\\xff\\xfe\n"),
        ("a\u2028b\U000e0041\n".encode(), "a\\u2028b\\U000e0041\n"),
    ],
)
def test_clean_text(payload: bytes, text: str) -> None:
    assert clean_text(payload) == text


def test_a_page_may_end_in_the_middle_of_a_line() -> None:
    pager = Pager(mark=re.compile(r"(?P<text>[^\n]{0,400}?)--More--[ \t]*$"))
    erased = b"\x08" * 8 + b" " * 8 + b"\x08" * 8
    payload = b"a\r\nwrite no--More--" + erased + b"ne\r\n--More--" + erased + b"  b\r\n"
    assert clean_text(payload, pager=pager) == "a\nwrite none\n  b\n"


@pytest.mark.parametrize(
    "payload",
    [
        b"\r" * 1_000_000,
        b"\r" + b" " * 1_000_000,
        b"--More--" + b" \r" * 500_000,
        b"--More--\r" * 500_000,
        b"\x1b[m" * 300_000,
        b"\x08" * 1_000_000,
        b"\x1b]" * 500_000,
    ],
    ids=["CR", "blanks", "pager", "pages", "colours", "back-spaces", "titles"],
)
@pytest.mark.timeout(20)
def test_cleaning_hostile_text_takes_linear_time(payload: bytes) -> None:
    clean_text(payload)


def test_every_character_that_hides_or_reorders_text_is_shown() -> None:
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        if unicodedata.category(character) in {"Cf", "Zl", "Zp"}:
            assert clean_text(character.encode()).startswith("\\"), hex(number)


def test_volatile_lines_are_dropped_and_masked() -> None:
    first = (
        b"Building configuration...\r\n\r\nCurrent configuration : 10 bytes\r\n!\r\n"
        b"! Last configuration change at 1 by a\r\n tunnel mpls traffic-eng bandwidth 7\r\nend\r\n"
    )
    second = (
        first.replace(b"10 bytes", b"999 bytes")
        .replace(b"at 1 by a", b"at 2 by b")
        .replace(b"width 7", b"width 8")
    )
    assert normalise(IOS, first) == normalise(IOS, second)
    assert normalise(IOS, first) == "!\n tunnel mpls traffic-eng bandwidth <volatile>\nend\n"


def test_a_description_that_quotes_a_volatile_line_stays() -> None:
    text = " description Current configuration : 5 bytes\n"
    assert normalise(IOS, text.encode()) == text


PAYLOADS = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [
                b"\x1b[",
                b"\x1b]",
                b"\x08",
                b"\r",
                b"\n",
                b"ntp clock-period 5\n",
                b"\n\n",
                b"Current configuration : 1 bytes\n",
                "\u200b".encode(),
            ]
        ),
    ),
    max_size=12,
).map(b"".join)


@given(payload=PAYLOADS)
def test_normalising_is_idempotent_and_leaves_plain_lines(payload: bytes) -> None:
    once = normalise(IOS, payload)
    assert normalise(IOS, once.encode()) == once
    assert once.endswith("\n")
    assert not once.endswith("\n\n")
    assert all(c in "\t\n" or c.isprintable() or ord(c) > 159 for c in once)
    assert len(once.splitlines()) <= once.count("\n")
