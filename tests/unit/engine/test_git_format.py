"""Commit texts that nobody can forge, trees as Git sorts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.git.format import (
    NETRAVEN,
    TreeEntry,
    clean_name,
    commit_message,
    file_entry,
    folder_entry,
    format_commit,
    format_tree,
    parse_tree,
    tree_of_commit,
)

SHA = "78981922613b2afb6025042ff6bd878ac1994e85"


def author_line(author: str, authored_at: int = 1) -> str:
    commit = format_commit(
        tree=SHA,
        parent=SHA,
        author=author,
        authored_at=authored_at,
        committed_at=5,
        message="x\n",
    ).decode()
    lines = commit.split("\n")
    assert lines[0] == f"tree {SHA}"
    assert lines[1] == f"parent {SHA}"
    assert lines[3:] == [f"committer {NETRAVEN} 5 +0000", "", "x", ""]
    return lines[2]


@pytest.mark.parametrize(
    ("author", "line"),
    [
        ("Ada Lovelace <ada@example.net>", "Ada Lovelace <ada@example.net>"),
        ("Ada <>", "Ada <>"),
        ("  Ada\t <ada@example.net>  ", "Ada <ada@example.net>"),
        ("Ada\n\nNetRaven-Device: 1 <a@b>", "Ada NetRaven-Device: 1 <a@b>"),
        ("Ada", NETRAVEN),
        ("", NETRAVEN),
        ("<ada@example.net>", NETRAVEN),
        ("Ada <a@b> <c@d>", NETRAVEN),
        ("Ada <a@b> 0 +0000\ncommitter Eve <e@f>", NETRAVEN),
        ("Ada\0 <a@b>", "Ada <a@b>"),
    ],
)
def test_author_is_cleaned_or_replaced(author: str, line: str) -> None:
    assert author_line(author) == f"author {line} 1 +0000"


@given(st.text())
def test_no_author_breaks_out_of_its_line(author: str) -> None:
    line = author_line(author)
    assert line.count("<") == line.count(">") == 1
    assert line.endswith("> 1 +0000")


def test_a_time_before_1970_becomes_1970() -> None:
    assert author_line("Ada <a@b>", authored_at=-5).endswith(" 0 +0000")


@given(hostname=st.text(), job_name=st.text(), run_id=st.none() | st.integers(1, 9))
def test_names_never_add_a_line_to_the_message(
    hostname: str, job_name: str, run_id: int | None
) -> None:
    message = commit_message(
        hostname=hostname, device_id=42, run_id=run_id, job_name=job_name, change="+1 -0 lines"
    )
    subject, empty, *trailers = message.splitlines()
    expected = ["NetRaven-Device"]
    expected += ["NetRaven-Run"] if run_id is not None else []
    expected += ["NetRaven-Job"] if clean_name(job_name) else []
    assert subject == f"{clean_name(hostname) or 'device 42'}: +1 -0 lines"
    assert empty == ""
    assert [line.split(":")[0] for line in trailers] == expected


@given(st.text())
def test_a_clean_name_is_one_short_visible_line(name: str) -> None:
    cleaned = clean_name(name)
    assert len(cleaned) <= 200
    assert len(cleaned.splitlines()) <= 1
    assert cleaned == cleaned.strip()
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("core-sw1", "core-sw1"),
        ("Zürich 東京", "Zürich 東京"),
        ("a\r\n\tb", "a b"),
        ("a\u202eb", "a b"),
        ("a\u2028b\u0085c", "a b c"),
        ("\x1b[31mred", "[31mred"),
        ("\ud800x", "x"),
        ("n" * 300, "n" * 200),
    ],
)
def test_what_cleaning_does_to_a_name(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


NAMES = st.binary(min_size=1).filter(lambda name: b"\0" not in name and b"/" not in name)
ENTRIES = st.dictionaries(NAMES, st.sampled_from([file_entry(SHA), folder_entry(SHA)]))


@given(ENTRIES)
def test_a_tree_survives_the_round_trip(entries: dict[bytes, TreeEntry]) -> None:
    assert parse_tree(format_tree(entries)) == entries


@given(st.integers(1, 26))
def test_a_tree_that_is_cut_off_is_refused(missing: int) -> None:
    with pytest.raises(ValueError, match=r"cut off|not found"):
        parse_tree(format_tree({b"name": file_entry(SHA)})[:-missing])


def test_bytes_that_are_no_commit_are_refused() -> None:
    with pytest.raises(ValueError, match="no tree"):
        tree_of_commit(b"parent 1\n")
