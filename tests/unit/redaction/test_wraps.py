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
    ],
)
def test_the_next_line_stays_where_it_is_no_rest(text: str) -> None:
    first, following = text.split("\n", 1)
    result = REDACTOR.redact(None, text).text
    assert "Quiet" not in result
    assert result.split("\n", 1)[1] == following
    assert first[:4] == result[:4]
