"""Secrets that the end of a line has cut."""

from __future__ import annotations

import pytest

from backups.engine.redaction import TOKEN, Redactor

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "first", "between", "rest", "behind"),
    [
        # RouterOS, in the midst of a word, of quotes, and of the quotes of a script.
        ("/ppp secret\nadd name=bob password=", "Quiet", "\\{}    ", "Fox7", " profile=x"),
        ('/ppp secret\nadd password="', "Quiet gr", "\\{}    ", "ey Fox7", '" profile=x'),
        (
            '/system script\nadd source="/tool fetch password=\\"',
            "Quiet",
            "\\{}    ",
            "Fox7",
            '\\" mode=ftp"',
        ),
        # An access node of Huawei, at the width of the terminal.
        (
            ' ont add 0 1 sn-auth "4857" password-auth "',
            '%#%#Qu<"i&et',
            "{}",
            "F'ox7%#%#",
            '" omci',
        ),
        ("snmp-agent community read cipher ", "%^%#Qui,et", "{}", "Fox7;q%^%#", " acl 2000"),
        ("/ppp secret\nadd name=bob password=", "Quiet", "\\{}    ", "-Fox7", " profile=x"),
    ],
)
def test_both_parts_of_a_cut_secret_go(
    before: str, first: str, between: str, rest: str, behind: str, line_end: str
) -> None:
    between = between.format(line_end)
    result = REDACTOR.redact(None, before + first + between + rest + behind).text
    assert TOKEN.split(result) == [before, between, behind]


@pytest.mark.parametrize(
    "text",
    [
        # The backslash of a shell stands before options.
        "curl --token=QuietFox7\\\n    --silent",
        # Nothing of the password is in the next line.
        "username bob password QuietFox7\\\nip routing",
        " ont add 0 1 password-auth %#%#Quiet7\n#\ninterface gpon 0/1",
        # The terminal is wider than that.
        f"enable secret *21*Quiet{'A1b2' * 6}\nhostname OLT7",
        f"enable secret *21*Quiet{'A1b2' * 6}\nexit",
    ],
)
def test_the_next_line_stays_where_it_is_no_rest(text: str) -> None:
    first, following = text.split("\n", 1)
    result = REDACTOR.redact(None, text).text
    assert "Quiet" not in result
    assert result.split("\n", 1)[1] == following
    assert first[:4] == result[:4]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            'add password="Quiet\\\n    FoxA\\\n    FoxB" profile=x',
            ['add password="', "\\\n    ", "\\\n    ", '" profile=x'],
        ),
        (
            "add password=Quiet\\\n    FoxA\\\n    FoxB profile=x",
            ["add password=", "\\\n    ", "\\\n    ", " profile=x"],
        ),
        (
            "snmp-agent community read cipher %^%#Quiet\nFoxA\nFoxB%^%# acl 2000",
            ["snmp-agent community read cipher ", "\n", "\n", " acl 2000"],
        ),
    ],
)
def test_a_secret_over_three_lines_goes_whole(text: str, left: list[str]) -> None:
    assert TOKEN.split(REDACTOR.redact(None, text).text) == left


def test_the_same_line_is_asked_again_for_what_stands_below() -> None:
    line = "password encrypted *21*".ljust(80, "Q")
    result = REDACTOR.redact(None, f"{line}\n#\n{line}\nSecretRest7x").text
    assert "SecretRest" not in result
    assert result.split("\n")[1] == "#"
