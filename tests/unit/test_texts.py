"""Ids as people type them, and errors as sentences."""

from __future__ import annotations

import pytest

from common.texts import parsed_id, sentence


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("42", 42), ("007", 7), ("9" * 18, 10**18 - 1)]
)
def test_an_id_is_read_as_far_as_the_database_counts(text: str, number: int) -> None:
    assert parsed_id(text) == number


@pytest.mark.parametrize(
    "text", ["", " 1", "-1", "1.5", "0x1", "1_0", "9" * 19, "\u0661", "\u00b2"]
)
def test_what_is_no_id(text: str) -> None:
    assert parsed_id(text) is None


def test_a_hostname_in_a_sentence_keeps_its_capitals() -> None:
    error = ValueError("device R1-Core has no credential")
    assert sentence(error) == "Device R1-Core has no credential."
    assert sentence(ValueError("")) == "."
