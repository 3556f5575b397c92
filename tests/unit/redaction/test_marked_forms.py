"""Forms whose secrets are marked, letter by letter: as their platform and as an unknown one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backups.engine.redaction import TOKEN, Redactor
from inventory.platforms import get_platform

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
#: A secret stands between these.
MARKED = re.compile("⟦(.*?)⟧", re.DOTALL)


def forms() -> list[tuple[str, str]]:
    """Platform and form; a line ``@PLATFORM`` stands above its forms."""
    found = []
    for file in sorted(Path(__file__).with_name("marked_forms").glob("*.txt")):
        platform = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("@"):
                platform = line[1:]
            else:
                found.append((platform, line))
    return found


def shape(text: str) -> str:
    """``text`` with one sign for each run of tokens, so that their number does not matter."""
    return re.sub(rf"{TOKEN.pattern}(?:[ \t]+{TOKEN.pattern})*", "⟦⟧", text)


def without_secrets(form: str) -> str:
    return MARKED.sub(lambda secret: re.sub(r"[^\n]+", "⟦⟧", secret[1]), form)


@pytest.mark.parametrize(("platform", "form"), forms())
def test_secrets_go_and_everything_else_stays(platform: str, form: str) -> None:
    form = form.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    text = MARKED.sub(r"\1", form)
    for definition in (get_platform(platform), None):
        assert shape(REDACTOR.redact(definition, text).text) == without_secrets(form)
