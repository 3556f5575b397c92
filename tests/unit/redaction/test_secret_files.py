"""Files whose lines are an address, a station or a user, and a secret."""

from __future__ import annotations

import pytest

from backups.engine.redaction import TOKEN, Redactor
from inventory.platforms import get_platform

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
MARK = "¤"


def read(text: str) -> str:
    """``text`` redacted, the same for a known and an unknown platform, with a mark for tokens."""
    known, unknown = (
        TOKEN.sub(MARK, REDACTOR.redact(platform, text).text)
        for platform in (get_platform("linux"), None)
    )
    assert known == unknown
    return known


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (
            ["# IPsec: pre-shared keys", "192.0.2.1\twinter", "vpn.example.com  plain", ""],
            ["# IPsec: pre-shared keys", "192.0.2.1\t¤", "vpn.example.com  ¤", ""],
        ),
        (
            ["==> /etc/racoon/psk.txt <==", "192.0.2.1 winter", "", "==> /etc/hosts <==", "::1 a"],
            ["==> /etc/racoon/psk.txt <==", "192.0.2.1 ¤", "", "==> /etc/hosts <==", "::1 a"],
        ),
        (["192.0.2.1 p@S$w0rd", "2001:db8::1 winter"], ["192.0.2.1 ¤", "2001:db8::1 ¤"]),
        (["192.0.2.1 0x0123456789ab", "bob@example.com x"], ["192.0.2.1 ¤", "bob@example.com ¤"]),
        (
            ["# wpa_psk", "02:00:00:00:00:01 two words", "keyid=a 02:00:00:00:00:02 winterwinter"],
            ["# wpa_psk", "02:00:00:00:00:01 ¤", "keyid=a 02:00:00:00:00:02 ¤"],
        ),
        (
            [f"02:00:00:00:00:01 {'0a' * 32}\r", "02:00:00:00:00:02 winterwinter\r"],
            ["02:00:00:00:00:01 ¤\r", "02:00:00:00:00:02 ¤\r"],
        ),
        (
            ["# rsyncd.secrets", "bob:winter", "@backup:QuietFox7"],
            ["# rsyncd.secrets", "bob:¤", "@backup:¤"],
        ),
        (["bob:Xk3mP9qLw2", "alice:winter"], ["bob:¤", "alice:¤"]),
    ],
)
def test_secrets_of_such_a_file_go_and_the_rest_stays(lines: list[str], kept: list[str]) -> None:
    assert read("\n".join(lines)) == "\n".join(kept)


@pytest.mark.parametrize(
    "text",
    [
        # lists of hosts and of stations
        "192.0.2.1\thost1\n192.0.2.2\thost2",
        "127.0.0.1 localhost\n192.0.2.1 CoreSwitch01 core.example.com",
        "192.0.2.1 TenGigabitEthernet0/1\n192.0.2.2 Vlan1000",
        "192.0.2.1 bob@example.com\n192.0.2.2 alice@example.com",
        "02:00:00:00:00:01 192.0.2.1\n02:00:00:00:00:02 192.0.2.2",
        "02:00:00:00:00:01 DYNAMIC Vlan100\n02:00:00:00:00:02 STATIC Vlan100",
        # one line alone is a message
        "192.0.2.1 p@S$w0rd",
        "bob:Xk3mP9qLw2",
        # names and values, accounts
        "mode:normal\nversion:15.2(4)M3",
        "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1::/bin:/bin/false",
        # some line is of another form
        "# rsyncd.secrets\nbob:winter\nuid = nobody",
        "# psk.txt\n192.0.2.1 winter\nhostname r1",
        "hostname r1\n192.0.2.1 p@S$w0rd\n192.0.2.2 p@S$w0rd",
        "==> /etc/hosts <==\n192.0.2.1 a\n==> /etc/racoon/psk.txt <==\n# empty\n",
        "# psk.txt",
        "",
    ],
)
def test_texts_of_like_lines_stay(text: str) -> None:
    assert read(text) == text


def test_the_same_key_of_two_peers_has_the_same_token() -> None:
    text = "# psk.txt\n192.0.2.1 winter\n192.0.2.2 winter\n192.0.2.3 summer"
    tokens = TOKEN.findall(REDACTOR.redact(None, text).text)
    assert tokens[0] == tokens[1] != tokens[2]
