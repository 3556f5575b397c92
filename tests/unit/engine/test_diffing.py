"""The line diff: right for any two texts, near linear, and bounded for hostile ones."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.engine.diff import lines as diffing
from backups.engine.diff.lines import Change, align, change_counts, lines_of, unified

_LINES = st.lists(st.sampled_from(["!", " no shutdown", "a", "b", "c", ""]), max_size=40)


def patched(old: Sequence[str], new: Sequence[str], changes: Sequence[Change]) -> list[str]:
    lines: list[str] = []
    at = 0
    for change in changes:
        lines += [*old[at : change.old_start], *new[change.new_start : change.new_end]]
        at = change.old_end
    return [*lines, *old[at:]]


def interfaces(count: int) -> list[str]:
    return [
        line
        for number in range(count)
        for line in (
            f"interface Ethernet{number}",
            f" description port {number}",
            f" switchport access vlan {number % 50}",
            " no shutdown",
            "!",
        )
    ]


@settings(deadline=None)
@given(_LINES, _LINES)
def test_the_changes_lead_from_one_text_to_the_other(old: list[str], new: list[str]) -> None:
    changes = align(old, new)
    assert patched(old, new, changes) == new
    assert all(c.old_end > c.old_start or c.new_end > c.new_start for c in changes)
    ends = [(0, 0), *((c.old_end, c.new_end) for c in changes)]
    for (old_end, new_end), change in zip(ends, changes, strict=False):
        assert change.old_start >= old_end and change.new_start >= new_end
        assert change.old_start - old_end == change.new_start - new_end


def test_equal_texts_have_no_changes() -> None:
    lines = interfaces(5)
    assert align(lines, list(lines)) == []
    assert unified(lines, lines, []) == ""


def test_a_new_section_is_one_change() -> None:
    old = interfaces(4)
    new = [*old[:10], "interface Vlan7", " no shutdown", "!", *old[10:]]
    assert align(old, new) == [Change(10, 10, 10, 13)]


def test_repeated_lines_do_not_hide_what_stayed() -> None:
    old, new = interfaces(2_000), interfaces(2_000)
    for number in range(0, len(new), 100):
        new[number + 1] = " description moved"
    changes = align(old, new)
    assert change_counts(changes) == (100, 100)
    assert len(changes) == 100


def test_headings_come_before_lines_that_stand_everywhere() -> None:
    same = [" mtu 9000", " no cdp enable", " no shutdown", "!"]
    old = [line for number in range(10) for line in (f"interface E{number}", *same)]
    new = [old[0], *old[5:], *same]
    changed = [line for c in align(old, new) for line in old[c.old_start : c.old_end]]
    assert not [line for line in changed if line.startswith("interface")]


def test_past_the_bound_a_stretch_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    old = interfaces(20)
    new = [f"{line} x" if number % 7 == 3 else line for number, line in enumerate(old)]
    assert len(align(old, new)) == 14
    monkeypatch.setattr(diffing, "_LOOKS_PER_LINE", 0)
    assert align(old, new) == [Change(3, 95, 3, 95)]


@settings(deadline=None)
@given(_LINES, _LINES, st.integers(0, 4))
def test_git_applies_the_hunks(old: list[str], new: list[str], context: int) -> None:
    hunks = unified(old, new, align(old, new), context=context)
    removed = [line for line in hunks.splitlines() if line.startswith("-")]
    added = [line for line in hunks.splitlines() if line.startswith("+")]
    assert (len(added), len(removed)) == change_counts(align(old, new))
    assert bool(hunks) == (old != new)


def test_the_form_is_that_of_patch(tmp_path: Path) -> None:
    generator = random.Random(7)  # noqa: S311 - the same texts in each run
    old = interfaces(40)
    new = list(old)
    for _ in range(25):
        new[generator.randrange(len(new))] = f" mtu {generator.randrange(9000)}"
        new.insert(generator.randrange(len(new)), "! new")
        new.pop(generator.randrange(len(new)))
    for context in (0, 1, 3):
        file = tmp_path / f"config{context}"
        file.write_text("".join(f"{line}\n" for line in old))
        hunks = unified(old, new, align(old, new), context=context)
        diff = f"--- {file.name}\n+++ {file.name}\n{hunks}"
        command = ["git", "apply", "--unidiff-zero", "-p0", "-"]
        subprocess.run(command, cwd=tmp_path, input=diff.encode(), check=True)
        assert lines_of(file.read_text()) == new


def test_hunk_headers_count_as_diff_does() -> None:
    assert unified(["a"], ["a", "b"], align(["a"], ["a", "b"])) == "@@ -1 +1,2 @@\n a\n+b\n"
    assert unified([], ["a"], align([], ["a"])) == "@@ -0,0 +1 @@\n+a\n"
    assert unified(["a", "b"], ["a"], align(["a", "b"], ["a"]), context=0) == "@@ -2 +1,0 @@\n-b\n"


def test_a_line_ends_in_a_line_feed_and_nothing_else() -> None:
    assert lines_of("a\n\x0cb\r\x85c\u2028d\n\n") == ["a", "\x0cb\r\x85c\u2028d", ""]
    assert lines_of("") == []
    assert lines_of("a") == lines_of("a\n") == ["a"]


def test_hostile_texts_take_no_longer_than_others() -> None:
    generator = random.Random(1)  # noqa: S311 - the same texts in each run
    two_lines = [[generator.choice("ab") for _ in range(200_000)] for _ in range(2)]
    islands = [
        [line for n in range(300) for line in (f"{n}", *generator.choices("ab", k=95))]
        for _ in range(2)
    ]
    numbers = [str(number) for number in range(50_000)]
    pairs = [two_lines, islands, [numbers, numbers[::-1]], [numbers, [f"{n}x" for n in numbers]]]
    for old, new in pairs:
        begun = time.process_time()
        changes = align(old, new)
        # Measured: 0.05 s at the most.
        assert time.process_time() - begun < 5
        assert patched(old, new, changes) == new
