"""The documents say what the code says: settings, words, links."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from backups.engine.errors import ErrorCategory
from jobs.choices import ResultStatus, RunStatus
from jobs.policy import ADVICE, NEVER_RETRIED
from netraven_site.config import PROJECT_DIR, Config

_DOCS = PROJECT_DIR / "docs"
_PAGES = sorted(_DOCS.rglob("*.md")) + sorted(PROJECT_DIR.glob("*.md"))
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_LINKED_WORDS = re.compile(r"\[([^\]]+)\]\([^)]+\)")
#: Defaults that depend on the machine, in words.
_IN_WORDS = {"data_dir": "`var` in the checkout", "worker_processes": "cores of the machine"}


def table_rows(page: str) -> dict[str, list[str]]:
    """The rows of all tables of a page by their first cell, without its back-quotes."""
    text = (_DOCS / page).read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def default_in_words(name: str, field: FieldInfo) -> str:
    if name in _IN_WORDS:
        return _IN_WORDS[name]
    default: Any = field.default
    if default is None:
        return "none"
    if isinstance(default, list):
        return ", ".join(default) or "empty"
    return str(default).lower() if isinstance(default, bool) else str(default)


def allowed_in_words(field: FieldInfo) -> str | None:
    """The values that the field's type and bounds allow; None where words have to say it."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    low = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    if field.annotation is bool:
        return "true, false"
    if low is None:
        return None
    return f"{low} or more" if high is None else f"{low} to {high}"


@pytest.mark.parametrize("name", Config.model_fields)
def test_each_setting_is_documented(name: str) -> None:
    rows = table_rows("configuration.md")
    assert name in rows, f"docs/configuration.md has no row for {name}"
    field = Config.model_fields[name]
    default, allowed, meaning = rows[name]
    assert default == default_in_words(name, field)
    assert allowed == (allowed_in_words(field) or allowed)
    assert meaning


def test_no_setting_is_made_up() -> None:
    assert set(table_rows("configuration.md")) == set(Config.model_fields)


def test_the_glossary_has_every_status_and_category() -> None:
    rows = table_rows("glossary.md")
    statuses: Iterable[str] = [*RunStatus, *ResultStatus]
    assert set(rows) == {*map(str, statuses), *map(str, ErrorCategory)}


@pytest.mark.parametrize("category", ErrorCategory)
def test_the_glossary_says_what_is_tried_again(category: ErrorCategory) -> None:
    # A suspect output is no failure: it is recorded and never comes to the question.
    retried = category not in NEVER_RETRIED | {ErrorCategory.INCOMPLETE_OUTPUT}
    assert table_rows("glossary.md")[category][1] == ("yes" if retried else "no")


@pytest.mark.parametrize("category", ErrorCategory)
def test_the_words_about_a_category_are_those_of_the_code(category: ErrorCategory) -> None:
    meaning = table_rows("glossary.md")[category][0]
    assert _LINKED_WORDS.sub(r"\1", meaning) == ADVICE[category].meaning
    assert table_rows("howto/failures.md")[category] == [ADVICE[category].what_to_do]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(PROJECT_DIR)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_decisions_that_the_code_names_exist() -> None:
    named: set[str] = set()
    for folder in ("netraven_site", "jobs", "backups", "inventory", "credentials", "common"):
        for module in (PROJECT_DIR / folder).rglob("*.py"):
            named |= set(re.findall(r"docs/adr/(\d{4})", module.read_text(encoding="utf-8")))
    written = {page.name[:4] for page in (_DOCS / "adr").glob("[0-9]*.md")}
    assert named <= written
