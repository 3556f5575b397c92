"""What holds for every text, and what hostile texts may cost."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backups.engine.redaction import TOKEN, Redactor
from backups.engine.redaction.values import ValueReader
from inventory.platforms import get_platform, redaction_vocabulary

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
READER = ValueReader(redaction_vocabulary())
PLATFORMS = ["", "cisco_ios", "juniper_junos", "vyos"]

WORDS = st.sampled_from(
    [
        "password",
        "secret",
        "key",
        "community",
        "snmp-server",
        "host",
        "7",
        "0",
        "encrypted",
        '"',
        "'",
        ";",
        "{",
        "}",
        "=",
        ":",
        "<",
        ">",
        "<password>",
        "description",
        "banner",
        "^C",
        "line",
        "vty",
        "user",
        "auth",
        "priv",
        "sha",
        "aes-128",
        "$1$ab$cdefgh",
        "%^%#",
        "ENC",
        "-----BEGIN",
        "PRIVATE",
        "KEY-----",
        "-----END",
        "\\",
        "://a:",
        "@b",
        "no",
        "set",
        "<redacted:01234567>",
        "[REDACTED",
        "LINE]",
        "x9",
        "é",
        "create account admin x",
        "    auth-md5:",
        "x9:",
    ]
)
LINES = st.lists(WORDS, max_size=8).map(" ".join)
TEXTS = st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=12).map("\n".join)
SECRETS = st.text(
    "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!@#%+_", min_size=8, max_size=24
).filter(lambda s: any(c.isdigit() for c in s) and s[0].isalpha())
FORMS = [
    ("cisco_ios", "enable password {}"),
    ("cisco_ios", "username u privilege 15 password 0 {}"),
    ("cisco_ios", "snmp-server community {} RO"),
    ("cisco_ios", "tacacs-server key {}"),
    ("cisco_ios", " ip ospf message-digest-key 1 md5 {}"),
    ("cisco_nxos", "snmp-server user u g auth md5 {} priv aes-128 {} localizedkey"),
    ("arista_eos", "   neighbor 192.0.2.1 password 7 {}"),
    ("juniper_junos", 'set system radius-server 192.0.2.1 secret "{}"'),
    ("juniper_junos", '            secret "{}"; ## SECRET-DATA'),
    ("vyos", "set interfaces pppoe pppoe0 authentication password '{}'"),
    ("linux", "wpa_passphrase={}"),
]


@pytest.mark.parametrize("platform", PLATFORMS)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
@example(text='password " -----BEGIN password "')
def test_lines_stay_and_a_second_pass_changes_nothing(platform: str, text: str) -> None:
    definition = get_platform(platform) if platform else None
    once = REDACTOR.redact(definition, text).text
    assert once.count("\n") == text.count("\n")
    assert once.count("\r") == text.count("\r")
    assert REDACTOR.redact(definition, once).text == once


@settings(max_examples=150, deadline=None)
@given(text=st.text("bdfgjlmnoquxz 0123456789\t\r\n/#!", max_size=300))
def test_text_without_trigger_words_is_not_touched(text: str) -> None:
    result = REDACTOR.redact(None, text)
    assert result.text == text
    assert not result.replaced


@pytest.mark.parametrize(("platform", "form"), FORMS)
@settings(max_examples=60, deadline=None)
@given(secret=SECRETS)
def test_generated_secrets_never_survive(platform: str, form: str, secret: str) -> None:
    text = form.replace("{}", secret)
    for definition in (get_platform(platform), None):
        assert secret not in REDACTOR.redact(definition, text).text


#: What a person may have typed as a password: printable, without blanks at its ends.
TYPED = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=15)


@settings(max_examples=150, deadline=None)
@example(secret="\\")
@given(secret=TYPED.filter(lambda typed: typed[0] not in "#{$" and not READER.is_masked(typed)))
def test_values_in_the_next_two_lines_are_replaced(secret: str) -> None:
    text = f"create account admin bob\r\n{secret}\r\n{secret}\r\nvlan 1\r\n"
    for definition in (get_platform("dlink_ds"), None):
        lines = REDACTOR.redact(definition, text).text.split("\r\n")
        assert [lines[0], *lines[3:]] == ["create account admin bob", "vlan 1", ""]
        assert TOKEN.fullmatch(lines[1])
        assert lines[1] == lines[2]


@settings(max_examples=150, deadline=None)
@given(secrets=st.lists(SECRETS, min_size=1, max_size=4, unique=True))
def test_values_in_the_lines_of_a_section_are_replaced(secrets: list[str]) -> None:
    inner = ":\n      access:\n        any: {}\n"
    forms = [f"    {secret}{inner}" for secret in secrets]
    text = f"readonly-community:\n{''.join(forms)}other:\n  kept: {{}}\n"
    for definition in (get_platform("cumulus_linux"), None):
        pieces = TOKEN.split(REDACTOR.redact(definition, text).text)
        around = [f"{inner}    "] * (len(secrets) - 1)
        assert pieces == [
            "readonly-community:\n    ",
            *around,
            f"{inner}other:\n  kept: {{}}\n",
        ]


@pytest.mark.parametrize(
    "stem",
    [
        "eap",
        "max",
        "min",
        "history",
        "reset",
        "config",
        "auto",
        "server",
        "client",
        "special",
        "no-",
    ],
)
@pytest.mark.parametrize("rest", ["22222", "Bahn1", "imum!7", "_X"])
def test_a_secret_that_begins_like_a_word_of_the_command_line_is_gone(stem: str, rest: str) -> None:
    secret = stem + rest
    for definition in (get_platform("cisco_ios"), None):
        assert secret not in REDACTOR.redact(definition, f"enable password {secret}").text
