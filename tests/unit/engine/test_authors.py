"""The author of a commit is made of what a device printed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.authors import commit_author
from backups.engine.git.format import format_commit

_SHAPE = re.compile(r"[^<>\x00-\x1f\x7f]+ <[A-Za-z0-9._+-]+@[A-Za-z0-9._+-]+>")


@pytest.mark.parametrize(
    ("user", "author"),
    [
        ("jane", "jane <jane@core-1.lan>"),
        ("Jane Doe", "Jane Doe <Jane-Doe@core-1.lan>"),
        ("CORP\\jane", "CORP\\jane <CORP-jane@core-1.lan>"),
        ("a> <b@c>\ncommitter x", "a b@c committer x <a-b-c-committer-x@core-1.lan>"),
        ("<redacted:1f0c9a77>", "redacted:1f0c9a77 <redacted-1f0c9a77@core-1.lan>"),
        ("Ünï", "Ünï <n@core-1.lan>"),
        ("ユーザ", "ユーザ <unknown@core-1.lan>"),
    ],
)
def test_author(user: str, author: str) -> None:
    assert commit_author(user, "core-1.lan") == author


@pytest.mark.parametrize("user", ["", " ", "\n", "<>", "\u202e\x00"])
def test_no_name_is_no_author(user: str) -> None:
    assert commit_author(user, "core") is None


@given(st.text(max_size=300), st.text(max_size=80))
def test_any_text_stays_in_its_line(user: str, hostname: str) -> None:
    author = commit_author(user, hostname)
    if author is None:
        return
    assert _SHAPE.fullmatch(author)
    commit = format_commit(
        tree="0" * 40, parent=None, author=author, authored_at=1, committed_at=2, message="m"
    ).decode()
    assert commit.split("\n")[1] == f"author {author} 1 +0000"
    assert commit.split("\n")[2].startswith("committer NetRaven <netraven@localhost> 2")
