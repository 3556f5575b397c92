"""Commands with more blanks, or tabs, between their words."""

from __future__ import annotations

import re

import pytest

from backups.engine.redaction import REDACTED_LINE, TOKEN, Redactor
from backups.engine.redaction.spacing import single_spaced
from inventory.platforms import get_platform

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
PLATFORMS = [get_platform("cisco_ios"), get_platform("generic"), None]

FORMS = [
    "ip nhrp authentication {}",
    "ip msdp password peer 192.0.2.1 7 {}",
    "enable secret level 7 5 {}",
    " ipv6 ospf authentication ipsec spi 500 sha1 0 {}",
    " ipv6 ospf encryption ipsec spi 1001 esp aes-cbc 256 {} sha1 {}",
    "crypto pki import T pkcs12 flash:t.pfx {}",
    "mpls ldp vrf V password option 1 for 10 {}",
    "interface Vlan1\n vrrp 1 authentication text {}",
    "snmp-server user bob G v3 auth sha {} priv aes 128 {} access 10",
    'crypto isakmp key "{} {}" address 192.0.2.1',
]
INNOCENT = [
    "crypto key zeroize rsa",
    "mpls ldp password required for 10",
    "username bob password 5 !  role network-operator",
    "key chain K\n key 1\n  cryptographic-algorithm hmac-sha-256",
    "route-map R permit 10\n match community SECRET exact-match",
]


def spaced(text: str, blanks: str) -> str:
    """``text`` with ``blanks`` between its words; what stands in front of a line stays."""
    return re.sub(r"(?<=\S) +(?=\S)", blanks, text)


@pytest.mark.parametrize("blanks", ["  ", "     ", "\t", " \t "])
@pytest.mark.parametrize("form", FORMS)
def test_secret_goes_whatever_blanks_stand_between_the_words(form: str, blanks: str) -> None:
    text = spaced(form, blanks)
    quoted = '"' in text
    expected = re.escape(text).replace(
        re.escape("{}" + blanks + "{}" if quoted else "{}"), TOKEN.pattern
    )
    for platform in PLATFORMS:
        result = REDACTOR.redact(platform, text.replace("{}", "heron-9f") + "  \t").text
        assert re.fullmatch(expected + "  \t", result), platform


@pytest.mark.parametrize("blanks", ["   ", "\t\t"])
@pytest.mark.parametrize("form", INNOCENT)
def test_innocent_line_keeps_its_blanks(form: str, blanks: str) -> None:
    text = spaced(form, blanks)
    for platform in PLATFORMS:
        assert REDACTOR.redact(platform, text).text == text, platform


def test_value_that_no_rule_knows_takes_the_line_out() -> None:
    text = "x   my  password-of-x   is    Ab3$kk9!q\r\nhostname   r1\r\n"
    first, rest = REDACTOR.redact(None, text).text.split("\n", 1)
    assert first == REDACTED_LINE + "\r"
    assert rest == "hostname   r1\r\n"


def test_blanks_at_the_ends_of_a_quoted_value_go_with_it() -> None:
    for value in ("  ", "two  words   ", "  x9 "):
        result = REDACTOR.redact(PLATFORMS[0], f'username bob password "{value}"  role x').text
        assert TOKEN.sub("", result) == 'username bob password ""  role x', value


def test_text_without_further_blanks_is_read_as_it_is() -> None:
    lines = ["interface Ethernet1", "    description two words", "\tshutdown  ", ""]
    assert single_spaced(lines) is None


EOS_JSON = """\
{
    "cmds": {
        "enable secret sha512 {}": null,
        "ntp server 192.0.2.1 key 4711": null,
        "management defaults": {
            "cmds": {
                "secret hash sha512": null
            },
            "comments": []
        },
        "mac security": {
            "cmds": {
                "profile P": {
                    "cmds": {
                        "key 0abc1234 7 {}": null,
                        "key 0bcd 7 {} fallback": null
                    }
                }
            }
        },
        "key chain K": {
            "cmds": {
                "key 1": {
                    "cmds": {
                        "key-string 7 {}": null
                    }
                }
            }
        },
        "radius-server host 192.0.2.1 key 7 \\"{}\\" timeout 5": null,
        "interface Vlan1": {
            "cmds": {
                "description \\"the secret is out\\"": null,
                "vrrp 1 authentication {}": null
            }
        },
        "snmp-server community {} ro": null
    }
}
"""


@pytest.mark.parametrize("secret", ["heron-9f", "8Kd$!x", "4711829", "Zm9vYmFyYmF6=="])
def test_commands_that_are_names_in_json_are_read_as_commands(secret: str) -> None:
    expected = re.escape(EOS_JSON).replace(re.escape("{}"), TOKEN.pattern)
    for platform in (get_platform("arista_eos"), *PLATFORMS):
        result = REDACTOR.redact(platform, EOS_JSON.replace("{}", secret)).text
        assert re.fullmatch(expected, result), platform


@pytest.mark.parametrize(
    "form",
    [
        '{{"cmds": ["enable secret {}", "hostname r1"]}}',
        '{{"cmds": ["hostname r1", "snmp-server host 192.0.2.1 version 2c {}"]}}',
        '{{"output":["tacacs-server key 7 {}","end"]}}',
        '{{"lines": {{"enable password {}": null, "end": null}}}}',
    ],
)
def test_value_ends_with_the_text_of_json_that_it_stands_in(form: str) -> None:
    expected = re.escape(form.format("!")).replace("!", TOKEN.pattern)
    for platform in PLATFORMS:
        result = REDACTOR.redact(platform, form.format("heron-9f")).text
        assert re.fullmatch(expected, result), platform


def test_quote_inside_a_value_does_not_end_it() -> None:
    result = REDACTOR.redact(PLATFORMS[0], 'enable password Ab9",cd8"]x').text
    assert TOKEN.fullmatch(result.removeprefix("enable password "))
