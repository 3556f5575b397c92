"""Forms that one platform prints: read as that platform, and as one that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from backups.engine.redaction import TOKEN, Redactor
from inventory.platforms import get_platform

FILE = Path(__file__).with_name("platform_forms.txt")
#: Stands for each secret of a form.
MARK = "¤"
#: A name with digits, a word of a language, digits alone, and signs.
VALUES = ["QuietFox7", "winter", "48213907", "p@S$w0rd!#"]
REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")


def forms() -> list[tuple[str, str]]:
    """Platform and text of each form; a line with an at sign names the platform of those below."""
    found: list[tuple[str, str]] = []
    platform = ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            platform = line[1:]
        elif line and not line.startswith("# "):
            found.append((platform, line.replace("\\n", "\n").replace("\\t", "\t")))
    return found


@pytest.mark.parametrize(("platform", "form"), forms())
def test_the_secrets_go_and_the_rest_stays(platform: str, form: str) -> None:
    for definition in (get_platform(platform), None):
        for value in VALUES if MARK in form else [""]:
            result = REDACTOR.redact(definition, form.replace(MARK, value)).text
            assert TOKEN.split(result) == form.split(MARK)


@pytest.mark.parametrize("secret", ['ab"cd9', "ab'cd9", '"abcd9', "{abcd9}", "abcd9}", "$abcd9;x"])
@pytest.mark.parametrize(
    ("platform", "form"),
    [
        ("eltex", "snmp-server user u g v3 auth sha ¤ priv ¤"),
        ("huawei", "ike peer p\n pre-shared-key ¤"),
        ("netgear_prosafe", 'tacacs-server host "192.0.2.1"\nkey encrypted ¤'),
        ("zte_zxros", "snmp-server community ¤ view AllView ro"),
    ],
)
def test_signs_of_other_languages_are_part_of_the_secret(
    platform: str, form: str, secret: str
) -> None:
    result = REDACTOR.redact(get_platform(platform), form.replace(MARK, secret)).text
    assert TOKEN.split(result) == form.split(MARK)


def test_a_brace_that_closes_one_in_front_is_no_part_of_the_secret() -> None:
    result = REDACTOR.redact(None, "users: {admin: {role: x, password: QuietFox7}}").text
    assert TOKEN.split(result) == ["users: {admin: {role: x, password: ", "}}"]
