"""Keys and communities of nothing but digits, beside the numbers that name keys."""

from __future__ import annotations

import re

import pytest

from backups.engine.redaction import TOKEN, Redactor
from inventory.platforms import get_platform

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")

#: Platform (empty for an unknown one) and text with ``{}`` for each secret.
SECRETS = [
    ("cisco_ios", "aaa server radius proxy\n client 192.0.2.1\n  key 7 {}"),
    ("cisco_ios", "aaa group server tacacs+ T\n server-private 192.0.2.1 nat key 6 {}"),
    ("cisco_ios", "crypto isakmp client configuration group G\n key {}\n pool P"),
    ("cisco_ios", "crypto keyring K\n pre-shared-key address 192.0.2.1 key {}"),
    ("cisco_ios", "crypto ikev2 profile P\n authentication remote pre-share key 6 {}"),
    ("cisco_ios", "router lisp\n site S\n  authentication-key 7 {}"),
    ("cisco_ios", "router lisp\n ipv4 etr map-server 192.0.2.1 key {}"),
    ("cisco_ios", "ip mobile secure host 192.0.2.1 spi 100 key ascii {} algorithm md5"),
    ("cisco_ios", "radius-server local\n nas 192.0.2.1 key {}"),
    ("cisco_asa", "aaa-server T (inside) host 192.0.2.1\n key {}\n timeout 5"),
    ("cisco_asa", "cluster group C\n key {}\n priority 1"),
    ("cisco_xr", "tacacs-server host 192.0.2.1 port 49\n key 7 {}\n timeout 5"),
    ("cisco_xr", "crypto keyring K\n pre-shared-key hostname h key clear {}"),
    ("cisco_nxos", "fcsp esp sa 256\n  key {}"),
    ("arista_eos", "router isis C\n   authentication key 7 {} level-1"),
    ("arista_eos", "   isis authentication key 7 {}"),
    ("dell_os6", 'tacacs-server host "192.0.2.1"\nkey "{}"\nexit'),
    ("dell_os6", "snmp-server host 192.0.2.1 {} traps version 1"),
    ("extreme_exos", 'configure ntp key 1 md5 encrypted "{}"'),
    ("extreme_exos", "configure mlag peer p authentication md5 key {}"),
    ("extreme_vsp", "ntp authentication-key 1 {} type sha1"),
    ("extreme_vsp", "isis hello-auth type hmac-sha-256 key {}"),
    ("ruckus_fastiron", " ip ospf md5-authentication key-id 1 key 2 {}"),
    ("ruckus_fastiron", "sntp server-mode authentication-key {}"),
    ("allied_telesis_awplus", "proxy-radius\n server 192.0.2.1 key {}"),
    ("allied_telesis_awplus", "wireless\n security 1 mode wpa-personal\n  key {}"),
    ("ciena_saos", "ntp client add md5-key 1 key {}"),
    ("ruijie_os", "web-auth portal key 7 {}"),
    ("arris_cer", "configure key chain K key 1 key-string {}"),
    ("brocade_fos", "userConfig --add bob -r admin -p {}"),
]
NUMBERS_OF_KEYS = [
    "ntp server 192.0.2.1 key 4711 prefer",
    "ntp\n authenticate\n server 192.0.2.1 key 4711",
    "ntp peer vrf M 192.0.2.1 key 4711",
    "sntp server 192.0.2.1 key 4711",
    "ntp trusted-key 4711",
    "ntp broadcast key 4711",
    "key chain K\n key 4711\n  cryptographic-algorithm md5",
    "key chain K\n macsec\n  key 1234abcd\n  key 0100000000",
    "interface Tunnel0\n tunnel key 4711",
    "ip sla key-chain 4711",
    "aaa group server radius 4711",
    "aaa accounting dot1x default group 4711",
    " ip ospf authentication key-chain 4711",
    "mka policy P\n key-server priority 1600",
    "crypto key generate rsa modulus 2048",
    "crypto key generate rsa label K modulus 4096",
]


def redact(platform: str, text: str) -> str:
    return REDACTOR.redact(get_platform(platform) if platform else None, text).text


@pytest.mark.parametrize("digits", ["4711", "80321", "48213907", "271828182845"])
@pytest.mark.parametrize(("platform", "form"), SECRETS)
def test_key_of_digits_is_replaced(platform: str, form: str, digits: str) -> None:
    expected = re.escape(form).replace(re.escape("{}"), TOKEN.pattern)
    for name in (platform, "generic", ""):
        assert re.fullmatch(expected, redact(name, form.format(digits))), name


@pytest.mark.parametrize("text", NUMBERS_OF_KEYS)
def test_number_of_a_key_stays(text: str) -> None:
    for name in ("cisco_ios", "cisco_xr", "generic", ""):
        assert redact(name, text) == text, name
