"""What texts may cost that are made to be slow: one line of 1 MB, and many lines of 250 kB."""

from __future__ import annotations

import time

import pytest

from backups.engine.redaction import REDACTED_LINE, Redactor
from benchmarks.redaction import hostile_lines, hostile_texts

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
LINE_SIZE = 1_000_000
TEXT_SIZE = 250_000
#: Ten times what the slowest of them takes. The bound only tells time in proportion to the length
#: from time in proportion to its square, on a slow machine as well.
MOST_SECONDS = 10


def seconds(text: str) -> float:
    REDACTOR.redact(None, "warm up")
    began = time.process_time()
    result = REDACTOR.redact(None, text).text
    taken = time.process_time() - began
    assert result.count("\n") == text.count("\n")
    return taken


@pytest.mark.parametrize("name", hostile_lines(10))
def test_one_line_takes_time_in_proportion(name: str) -> None:
    assert seconds(hostile_lines(LINE_SIZE)[name]) < MOST_SECONDS


@pytest.mark.parametrize("name", hostile_texts(10))
def test_many_lines_take_time_in_proportion(name: str) -> None:
    assert seconds(hostile_texts(TEXT_SIZE)[name]) < MOST_SECONDS


def test_a_line_with_more_words_than_anybody_looks_at_is_taken_out() -> None:
    text = "password a " * 10_001 + "\nhostname b\n"
    assert REDACTOR.redact(None, text).text == f"{REDACTED_LINE}\nhostname b\n"
