"""Signs that hide a word do not hide the secret behind it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backups.engine.redaction import REDACTED_LINE, TOKEN, Redactor
from inventory.platforms import get_platform

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
IOS = get_platform("cisco_ios")
INVISIBLE = ["\u200b", "\u2060", "\ufeff", "\u00ad", "\x07", "\\xff", "\\u200b", "\\U000e0001"]
BLANK = ["\u00a0", "\u3000", "\u2009", "\x0b", "\r"]


@pytest.mark.parametrize("platform", [IOS, None])
@pytest.mark.parametrize(
    "form",
    [
        *[f"enable pass{sign}word {{}}" for sign in INVISIBLE],
        *[f"snmp-server {sign}community {{}} ro" for sign in INVISIBLE],
        *[f"snmp-server community{sign} {{}} ro" for sign in INVISIBLE],
        *[f"enable{sign}password{sign}{{}}" for sign in BLANK],
        "enable \uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44 {}",
        "enable password\t{}\t",
    ],
)
def test_the_secret_goes_and_the_signs_stay(form: str, platform: object) -> None:
    text = form.format("QuietFox7")
    result = REDACTOR.redact(IOS if platform else None, text).text
    assert TOKEN.split(result) == form.split("{}")


def test_quotes_of_a_document_hold_a_value_together() -> None:
    result = REDACTOR.redact(None, "username ops password \u201cQuiet Fox7\u201d").text
    assert "Quiet" not in result
    assert "Fox7" not in result


@pytest.mark.parametrize(
    "secret",
    ["Qui\\xffetFox7", "Quiet\u200bFox7", "\u043f\u0430\u0440\u043e\u043b\u044c", "F\xf6x7"],
)
def test_such_signs_in_a_value_are_part_of_it(secret: str) -> None:
    assert TOKEN.fullmatch(REDACTOR.redact(IOS, f"enable password {secret}").text[16:])


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *INVISIBLE,
                *BLANK,
                "password",
                "enable ",
                "key",
                " ",
                "x9",
                '"',
                "\u201c",
                "\n",
                "community ",
            ]
        ),
        max_size=14,
    )
)
@example(["password", "\u00a0", "password", "\u200b", '"', "\u200b", '"'])
@example(["\u2060", "key", "\u2009", "key", "\u00ad", "\u201c", "\u00a0", "key", '"'])
@example(["\r", "enable ", "\u2060", "password", "\u00a0", "key", " ", "\x07"])
def test_line_ends_stay_and_a_second_pass_changes_nothing(pieces: list[str]) -> None:
    text = "".join(pieces)
    for platform in (IOS, None):
        once = REDACTOR.redact(platform, text).text
        assert once.count("\n") == text.count("\n")
        # By itself it is a part of a value, if it stands in one.
        assert once.count("\r\n") == text.count("\r\n") or REDACTED_LINE in once
        assert REDACTOR.redact(platform, once).text == once


@pytest.mark.parametrize(
    "form", ['vendor password " {}', 'vendor password "" {}', "vendor secret ' {}"]
)
def test_a_stray_quote_hides_no_value(form: str) -> None:
    assert "x1" not in REDACTOR.redact(None, form.format("x1")).text


@pytest.mark.parametrize(
    "text",
    ["description caf\xe9\xa0bar key word", 'pattern "\\x2fetc/\\x41"', "hostname \uff21\uff22"],
)
def test_lines_without_a_secret_stay(text: str) -> None:
    assert REDACTOR.redact(None, text).text == text
