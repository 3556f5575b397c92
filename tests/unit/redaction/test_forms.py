"""Forms of many vendors' command references, in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from backups.engine.redaction import REDACTED_LINE, TOKEN, Redactor

FILES = sorted(Path(__file__).with_name("forms").glob("*.txt"))
FORMS = [
    line
    for file in FILES
    for line in file.read_text(encoding="utf-8").splitlines()
    if not line.startswith("# ")
]
MARK = "S3c"
REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")


def redact(text: str) -> str:
    return REDACTOR.redact(None, text).text


@pytest.mark.parametrize("form", [form for form in FORMS if MARK in form])
def test_secret_is_replaced_by_a_token(form: str) -> None:
    result = redact(form.replace("\\n", "\n"))
    assert MARK not in result
    assert REDACTED_LINE not in result
    assert len(TOKEN.findall(result)) == form.count(MARK)


@pytest.mark.parametrize("form", [form for form in FORMS if MARK not in form])
def test_innocent_line_survives(form: str) -> None:
    text = form.replace("\\n", "\n")
    assert redact(text) == text
