"""The page of a restore pack: hostile texts stay words, and every platform's steps fit in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.restore_guide import GENERAL_STEPS, PackedFile, one_line, restore_guide
from inventory.platforms import get_platform, platform_names

FILE = PackedFile(path="raw/running-config.cfg", size_bytes=3, sha256="ab" * 32)


def guide(**changed: object) -> str:
    facts = {"model": "C9300"} | {name: str(value) for name, value in changed.items()}
    return restore_guide(facts=facts, files=[FILE], steps=["First.", "Second."])


def test_it_says_what_is_in_it_and_what_to_do() -> None:
    lines = guide().splitlines()
    assert "| model | `C9300` |" in lines
    assert f"| `raw/running-config.cfg` | 3 | `{'ab' * 32}` |" in lines
    assert "1. First." in lines and "2. Second." in lines
    assert lines[-1].startswith("3. Run a backup job")
    assert restore_guide(facts={}, files=[], steps=()).count(GENERAL_STEPS[0]) == 1


@given(st.text())
def test_no_value_leaves_its_cell(value: str) -> None:
    plain, hostile = guide(model="x").splitlines(), guide(model=value).splitlines()
    assert len(plain) == len(hostile)
    (line,) = [line for line in hostile if line.startswith("| model | ")]
    assert line.count("|") == 3 and line.count("`") in {0, 2} and line.isprintable()


@given(st.text())
def test_one_line_is_one_line(value: str) -> None:
    shown = one_line(value)
    assert shown.isprintable() and len(shown) <= 200 and shown == shown.strip()


@pytest.mark.parametrize("name", platform_names())
def test_steps_are_sentences_in_their_order(name: str) -> None:
    steps = get_platform(name).restore
    assert len(set(steps)) == len(steps)
    for step in steps:
        assert step.endswith(".") and step[0].isupper() | (step[0] == "'"), step
        assert step.isascii() and step.isprintable() and "  " not in step, step


def test_most_platforms_have_steps_of_their_own() -> None:
    assert sum(bool(get_platform(name).restore) for name in platform_names()) >= 60
