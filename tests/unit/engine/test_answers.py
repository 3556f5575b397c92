"""Where an answer ends, and what of it is echo, pager or prompt."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.answers import (
    Prompt,
    end_without,
    holds_echo,
    last_line,
    lines_of,
    looks_like_prompt,
    shape_of,
    waits_for_key,
    without_echo,
    without_last_lines,
)
from inventory.platforms import get_platform
from inventory.platforms.definition import COMMON_PAGER

GENERIC = get_platform("generic")


@pytest.mark.parametrize(
    ("shown", "later"),
    [
        (b"sw1>", b"sw1#"),
        (b"sw1#", b"sw1(config)#"),
        (b"[admin@lab] >", b"[admin@lab] /ip>"),
        (b"#", b"#"),
    ],
)
def test_a_prompt_is_known_again(shown: bytes, later: bytes) -> None:
    prompt = Prompt.of(GENERIC, shown)
    assert prompt.matches(shown)
    assert prompt.start_in(bytearray(b"text\r\n" + later + b" ")) == 6


@pytest.mark.parametrize("line", [b"other#", b"sw1# show version", b"sw1", b"sw10#x"])
def test_another_line_is_no_prompt(line: bytes) -> None:
    assert Prompt.of(GENERIC, b"sw1#").start_in(bytearray(b"text\r\n" + line)) is None


def test_a_prompt_may_stand_behind_a_text_without_line_end() -> None:
    prompt = Prompt.of(GENERIC, b"root@fw:~#")
    assert prompt.start_in(bytearray(b"<a>\n</a>root@fw:~# ")) == len(b"<a>\n</a>")


def test_a_painted_prompt_may_stand_behind_a_text_without_line_end() -> None:
    shown = b"\x1b[01;32mroot@fw\x1b[00m:\x1b[01;34m~\x1b[00m# "
    prompt = Prompt.of(GENERIC, last_line(shown)[0].strip())
    text = b"# as typed at root@fw:~# once\r\n<a>\n</a>"
    assert prompt.start_in(bytearray(text + shown)) == len(text)


def test_a_described_prompt_goes_before_a_shown_one() -> None:
    platform = dataclasses.replace(GENERIC, prompt=re.compile(r"^\* lab\.\d+ #$"))
    assert Prompt.of(platform, b"* lab.1 #").matches(b"* lab.22 #")
    assert looks_like_prompt(b"x\r\n* lab.3 # ", platform)
    assert not looks_like_prompt(b"x\r\nlab# ", platform)


@pytest.mark.parametrize("line", [b"sw1>", b"sw1# ", b"a@b:~$ ", b"<R1>", b"[x]", b"(lab) #", b"%"])
def test_looks_like_a_prompt(line: bytes) -> None:
    assert looks_like_prompt(b"welcome\r\n\x1b[1m" + line, GENERIC)


@pytest.mark.parametrize("line", [b"Password: ", b"welcome", b"login:", b""])
def test_looks_like_no_prompt(line: bytes) -> None:
    assert not looks_like_prompt(b"x\r\n" + line, GENERIC)


@pytest.mark.parametrize(
    "mark",
    [
        b"--More--", b" --More-- ", b"---- More ----", b"<--- More --->", b"-- More --, next page",
        b"--More-- or (q)uit", b"\x1b[7m--More--\x1b[m", b"---(more 12%)---", b"(more)",
        b"Press any key to continue (q to quit)", b"More: <space>,  Quit: q",
    ],
)  # fmt: skip
def test_waits_for_a_key(mark: bytes) -> None:
    assert waits_for_key(b"line\r\n" + mark, COMMON_PAGER)
    assert not waits_for_key(b"line\r\n" + mark + b"\r\n", COMMON_PAGER)


@pytest.mark.parametrize("line", [b"", b"more", b"no more", b"description --More--"])
def test_waits_for_nothing(line: bytes) -> None:
    assert not waits_for_key(b"line\r\n" + line, COMMON_PAGER)


@pytest.mark.parametrize(
    "echo",
    [
        b"show run\r\n",
        b"sw1# show run\r\n",
        b"\r\nsw1# sho\x1b[2;9Hw r\x1b[2;14Hun\x1bE",
        b"sh\r\now run\r\n",
    ],
    ids=["bare", "behind a prompt", "painted", "broken by the terminal"],
)
def test_the_echo_is_cut_off(echo: bytes) -> None:
    assert holds_echo(echo, "show run")
    assert without_echo(echo + b"a\r\nb\r\n", "show run") == b"a\r\nb\r\n"


def test_a_repeated_echo_is_cut_off() -> None:
    answer = b"show run\r\r\n\r\nsw1# show run\r\r\n\r\n!Command: show run\r\n"
    assert without_echo(answer, "show run", b"sw1#") == b"\r\n!Command: show run\r\n"


def test_an_answer_without_echo_stays() -> None:
    assert without_echo(b"a\r\nb\r\n", "show run") == b"a\r\nb\r\n"
    assert without_echo(b"show run", "show run") == b""


def test_what_stands_above_each_prompt_is_cut_off() -> None:
    above = frozenset({b"{master:0}", shape_of(b"Sat Nov 21 01:02:03 UTC")})
    assert without_last_lines(b"a\r\nSat Nov 21 11:22:33 UTC\r\n", above) == b"a\r\n"
    assert without_last_lines(b"a\r\n{master:0}\r\n\r\n{master:0}\r\n", above) == b"a\r\n"
    assert without_last_lines(b"a\r\n{master:0} b\r\n", above) == b"a\r\n{master:0} b\r\n"
    assert without_last_lines(b"a\r\n", frozenset()) == b"a\r\n"


@pytest.mark.timeout(20)
def test_lines_at_the_end_of_a_long_answer_take_linear_time() -> None:
    answer = b"x" * 10_000_000 + b"\r\n" + b"{master:0}\r\n" * 20_000
    assert end_without(answer, len(answer), frozenset({b"{master:0}"})) == 10_000_002


@given(st.binary(max_size=300))
def test_any_bytes_are_borne(answer: bytes) -> None:
    prompt = Prompt.of(GENERIC, b"sw1#")
    start = prompt.start_in(bytearray(answer))
    assert start is None or 0 <= start <= len(answer)
    line, begin = last_line(answer)
    assert 0 <= begin <= len(answer)
    assert b"\n" not in line
    assert all(lines_of(answer))
    assert answer.endswith(without_echo(answer, "show run"))
    assert answer.startswith(without_last_lines(answer, frozenset({b"a"})))
