"""Tokens, messages, failures, and who may make a redacted configuration."""

from __future__ import annotations

import ast
import hashlib
import hmac
import re
from pathlib import Path

import pytest

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.redaction import CONSTANT_TOKEN, Redactor, reversible
from inventory.platforms import get_platform

ROOT = Path(__file__).resolve().parents[3]
KEY = b"a-key-for-the-tests-of-redaction"
IOS = get_platform("cisco_ios")


def token_of(secret: str) -> str:
    return f"<redacted:{hmac.new(KEY, secret.encode(), hashlib.sha256).hexdigest()[:8]}>"


def test_token_is_the_keyed_digest_of_the_secret() -> None:
    result = Redactor(KEY).redact(IOS, "snmp-server community tawny-owl RO")
    assert result.text == f"snmp-server community {token_of('tawny-owl')} RO"
    assert dict(result.replaced) == {"snmp-community": 1}


def test_reversible_forms_give_the_token_of_the_clear_text() -> None:
    redactor = Redactor(KEY)
    clear = redactor.redact(IOS, "line vty 0 4\n password cisco").text
    type7 = redactor.redact(IOS, "line vty 0 4\n password 7 094F471A1A0A").text
    assert token_of("cisco") in clear
    assert token_of("cisco") in type7


@pytest.mark.parametrize(
    ("secret", "encoding", "clear"),
    [
        ("0822455D0A16", "7", "cisco"),
        ("0822455D0A16", "", "0822455D0A16"),
        ("99FF", "7", "99FF"),
        ("070E6E1B57B788835C0B5882C761", "7", "070E6E1B57B788835C0B5882C761"),
        ("$9$LbHX-wg4Z", "", "lc"),
        ("$9$a", "", "$9$a"),
        ("$9$nV3kQz8pLw$sXyH", "9", "$9$nV3kQz8pLw$sXyH"),
    ],
)
def test_decoders_fall_back_to_the_text(secret: str, encoding: str, clear: str) -> None:
    assert reversible.decode(secret, encoding) == clear


def test_another_key_gives_another_token() -> None:
    text = "snmp-server community tawny-owl RO"
    assert Redactor(b"one").redact(IOS, text).text != Redactor(b"two").redact(IOS, text).text


def test_line_ends_tabs_and_trailing_blanks_stay() -> None:
    text = " snmp-server community\tCROW_RO\tRO  \r\nhostname a\t\r\n"
    assert Redactor(KEY).redact(IOS, text).text == text.replace("CROW_RO", token_of("CROW_RO"))


def test_a_token_that_a_device_prints_hides_nothing() -> None:
    text = "enable password <redacted:01234567>plus-more"
    assert "plus-more" not in Redactor(KEY).redact(IOS, text).text


def test_messages_lose_the_given_values_and_their_forms() -> None:
    message = "login as u with 'pa\\'s5' failed; url http://h/?p=pa%27s5 ; token of x is pa's5"
    result = Redactor(KEY).redact_message(message, ["pa's5"])
    assert "s5" not in result.replace(token_of("pa's5"), "")


def test_messages_lose_what_the_rules_know_and_keep_the_rest() -> None:
    redact = Redactor(KEY).redact_message
    assert "hunter22" not in redact("sent: enable password hunter22")
    sentence = "Authentication failed: the device refused the password of user ops."
    assert redact(sentence) == sentence


def test_short_given_values_go_only_where_they_stand_alone() -> None:
    assert Redactor(KEY).redact_message("cab a cab", ["a"]) == f"cab {CONSTANT_TOKEN} cab"


def test_any_failure_is_closed_and_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    redactor = Redactor(KEY)

    def broken(*_: object) -> str:
        raise ValueError("tawny-owl")

    monkeypatch.setattr(redactor._tokens, "keyed", broken)
    with pytest.raises(DeviceError) as caught:
        redactor.redact(IOS, "snmp-server community tawny-owl RO")
    assert caught.value.category is ErrorCategory.REDACTION_FAILURE
    assert "tawny-owl" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_nothing_prints_the_key() -> None:
    redactor = Redactor(KEY)
    assert KEY.decode() not in repr(redactor) + repr(redactor._tokens)


@pytest.mark.parametrize(("key", "keywords"), [(b"", ("password",)), (b"k", ("",))])
def test_empty_settings_are_refused(key: bytes, keywords: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="empty"):
        Redactor(key, keywords)


def test_only_redaction_makes_a_redacted_configuration() -> None:
    makers = set()
    for folder in ("backups", "inventory", "jobs", "credentials", "common", "netraven_site"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            if "RedactedConfig" in source and _calls_it(source):
                makers.add(path.relative_to(ROOT).as_posix())
    assert makers
    assert all(re.match(r"backups/engine/redaction/", maker) for maker in makers), makers


def _calls_it(source: str) -> bool:
    return any(
        isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "RedactedConfig"
        for node in ast.walk(ast.parse(source))
    )
