"""How fast a configuration is redacted on one core, and what hostile texts cost.

python -m benchmarks.redaction [--lines 1500] [--rounds 20]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from backups.engine.redaction import Redactor
from inventory.platforms import PlatformDefinition, get_platform

#: The aims that the figures are held against.
AIM_MEGABYTES_PER_SECOND = 20.0
AIM_HOSTILE_SECONDS = 1.0

_BEGIN_KEY = "-----BEGIN RSA PRIVATE KEY-----"
_HEAD = """\
hostname edge-1
service password-encryption
enable secret 9 $9$Tq3vZ0nB1kWlQe$0mYfVn3WcTq8GkJxLw2bNd5RsUhPa7ZoXi4EtC6yKbM
username ops privilege 15 secret 9 $9$a1B2c3D4e5F6g7$Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0Fe9Dc8Ba7Zy6Xw
aaa new-model
tacacs server T1
 address ipv4 192.0.2.1
 key 7 08701E1D5D4C53
snmp-server community bench-ro RO 10
snmp-server user nms G v3 auth sha bench-auth-1 priv aes 128 bench-priv-1
router bgp 65001
 neighbor 192.0.2.9 remote-as 65002
 neighbor 192.0.2.9 password 7 060506324F41
"""
_ACCESS_PORT = """\
interface GigabitEthernet1/0/{n}
 description access port {n}, building 4
 switchport access vlan {n}
 switchport mode access
 switchport voice vlan 20
 ip access-group EDGE-IN in
 authentication periodic
 spanning-tree portfast
 storm-control broadcast level 1.00
!
"""
_UPLINK = """\
interface TenGigabitEthernet1/1/{n}
 description uplink {n} of the key customer
 no switchport
 ip address 10.{a}.{b}.1 255.255.255.252
 ip ospf network point-to-point
 ip ospf authentication message-digest
 ip ospf message-digest-key 1 md5 7 0307530A080E
 mtu 9198
 load-interval 30
!
"""


_JUNOS_HEAD = """\
system {
    host-name core-1;
    root-authentication {
        encrypted-password "$6$aB3dE5fG$h1J2k3L4m5N6p7Q8r9S0tUvWxYzAbCdEfGhIjKl"; ## SECRET-DATA
    }
    radius-server {
        192.0.2.1 secret "$9$LbHX-wg4Z"; ## SECRET-DATA
    }
}
snmp {
    community bench-ro {
        authorization read-only;
    }
}
interfaces {
"""
_JUNOS_INTERFACE = """\
    ge-0/0/{n} {{
        description "customer {n}, building 4";
        unit 0 {{
            family inet {{
                address 10.{a}.{b}.1/30;
                filter {{
                    input EDGE-IN;
                }}
            }}
        }}
    }}
"""
_FORTIOS_HEAD = """\
config system admin
    edit "ops"
        set accprofile "super_admin"
        set password ENC SH2vZ0nB1kWlQe0mYfVn3WcTq8GkJxLw2bNd5RsUhPa7ZoXi4EtC6yKbM=
    next
end
config system snmp community
    edit 1
        set name "bench-ro"
    next
end
config firewall policy
"""
_FORTIOS_POLICY = """\
    edit {n}
        set name "allow-{n}"
        set uuid 5f0c1d2e-{n:04d}-51ec-8a1b-0123456789ab
        set srcintf "port{b}"
        set dstintf "wan1"
        set srcaddr "net-10-{a}-{b}"
        set dstaddr "all"
        set action accept
        set schedule "always"
        set service "HTTPS" "DNS"
        set logtraffic all
    next
"""


def configuration(lines: int) -> str:
    """A made-up IOS configuration of about ``lines`` lines."""
    parts = [_HEAD]
    count = _HEAD.count("\n")
    number = 0
    while count < lines:
        number += 1
        block = _UPLINK if number % 8 == 0 else _ACCESS_PORT
        parts.append(block.format(n=number, a=number // 250, b=number % 250))
        count += block.count("\n")
    return "".join(parts) + "end\n"


def junos_configuration(lines: int) -> str:
    """A made-up Junos configuration with braces of about ``lines`` lines."""
    return _repeated(_JUNOS_HEAD, _JUNOS_INTERFACE, lines) + "}\n"


def fortios_configuration(lines: int) -> str:
    """A made-up FortiOS configuration of about ``lines`` lines."""
    return _repeated(_FORTIOS_HEAD, _FORTIOS_POLICY, lines) + "end\n"


def _repeated(head: str, block: str, lines: int) -> str:
    count = max(1, (lines - head.count("\n")) // block.count("\n"))
    blocks = (block.format(n=n, a=n // 250, b=n % 250) for n in range(count))
    return head + "".join(blocks)


def hostile_lines(size: int) -> dict[str, str]:
    """Lines of ``size`` characters that make a careless pattern slow."""
    pieces = {
        "keyword": "password ",
        "keyword and value": "password x ",
        "encodings": "key 7 encrypted 7 cipher ",
        "dollars": "$1$",
        "quotes": 'secret "a\\" ',
        "url": "ftp://a:b",
        "blanks": " ",
        "one word": "a",
        "marks": "%^%#",
        "xml": "<password><key>",
        "snmp": "snmp-server host version 2c community auth md5 priv aes ",
        "descriptions": "description comment remark ",
        "one word of keywords": "passwordx" * 20,
        "assignments": "password=",
        "names": "password-",
        "key block": "-----BEGIN RSA PRIVATE KEY-----",
        "wireless controller": "config encrypt secret key ",
        "escapes": "key\\xff x1 ",
        "no-break spaces": "password\xa0x1 ",
        "tokens": "password <redacted:01234567> ",
    }
    return {name: (piece * (size // len(piece) + 1))[:size] for name, piece in pieces.items()}


def hostile_texts(size: int) -> dict[str, str]:
    """Texts of many lines, ``size`` characters each, whose lines have to do with one another."""
    forms: dict[str, Callable[[int], str]] = {
        "short lines": lambda n: "key",
        "keys, all different": lambda n: f" key v{n}",
        "passwords, all different": lambda n: f"password p{n}x",
        "members of one section": lambda n: f"  a{n}:" if n else "readonly-community:",
        "many sections": lambda n: f"  s{n}:" if n % 2 else "readonly-community:",
        "nested headers": lambda n: " " * min(n, 1000) + "key k1x2",
        "shallow nesting": lambda n: " " * (n % 12) + f"key k{n}",
        "saw teeth": lambda n: " " * (40 - n % 40) + "key ab9",
        "comments": lambda n: "! key x1" if n % 2 else "# key x2",
        "banners without an end": lambda n: f"banner motd ^C x{n}",
        "values that echo": lambda n: f"crypto isakmp key a{n}bcd address 192.0.2.1",
        "values below": lambda n: f"p{n}x" if n % 3 else "create account admin x",
        "continued lines": lambda n: "add password=\\" if n % 2 else " x9y",
        "begins of keys": lambda n: _BEGIN_KEY,
        "keys without an end": lambda n: "QUJDREVGR0hJ" if n % 2 else _BEGIN_KEY,
        "one key without an end": lambda n: "QUJDREVGR0hJ" if n else _BEGIN_KEY,
        "elements without an end": lambda n: "<private-key>",
        "elements with a distant end": lambda n: "<prv>" if n % 400 else "</prv>",
        "elements of many names": lambda n: f"<a{n}-private-key>",
        "quotes": lambda n: 'password "',
        "paths": lambda n: "add name=x9" if n % 2 else "/snmp community",
        "escapes": lambda n: "\\xff\\xfe key\\xff x1",
        "xml": lambda n: " " * (n % 20) + "<key>",
    }
    texts = {}
    for name, form in forms.items():
        lines: list[str] = []
        length = 0
        while length < size:
            lines.append(form(len(lines)))
            length += len(lines[-1]) + 1
        texts[name] = "\n".join(lines)[:size]
    return texts


def seconds(redactor: Redactor, platform: PlatformDefinition | None, text: str) -> float:
    began = time.process_time()
    redactor.redact(platform, text)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--lines", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()

    redactor = Redactor(b"benchmark-key-benchmark-key-1234")
    for name, make in (
        ("cisco_ios", configuration),
        ("juniper_junos", junos_configuration),
        ("fortinet", fortios_configuration),
    ):
        text = make(options.lines)
        _print_speed(redactor, name, get_platform(name), text, options.rounds)
        _print_speed(redactor, f"{name}, platform unknown", None, text, options.rounds)
    _print_growth(redactor, options.lines)
    hostile = {f"line, {name}": line for name, line in hostile_lines(1_000_000).items()}
    hostile |= {f"text, {name}": text for name, text in hostile_texts(1_000_000).items()}
    for name, text in hostile.items():
        taken = seconds(redactor, None, text)
        verdict = "ok" if taken < AIM_HOSTILE_SECONDS else "TOO SLOW"
        print(f"hostile {name}, 1 MB: {taken:.2f} s, {1 / taken:.1f} MB/s ({verdict})")


def _print_speed(
    redactor: Redactor,
    name: str,
    platform: PlatformDefinition | None,
    text: str,
    rounds: int,
) -> None:
    redactor.redact(platform, text)
    best = min(seconds(redactor, platform, text) for _ in range(rounds))
    rate = len(text.encode()) / best / 1e6
    verdict = "reached" if rate >= AIM_MEGABYTES_PER_SECOND else "missed"
    print(
        f"{name}: {text.count(chr(10))} lines, {len(text) / 1e3:.0f} kB in {best * 1e3:.2f} ms, "
        f"{rate:.1f} MB/s (aim {AIM_MEGABYTES_PER_SECOND:.0f}: {verdict})"
    )


def _print_growth(redactor: Redactor, lines: int) -> None:
    """Time per line of texts that are 10 and 100 times as long, against the shortest."""
    platform = get_platform("cisco_ios")
    per_line = [
        min(seconds(redactor, platform, text) for _ in range(3)) / text.count("\n")
        for text in (configuration(lines * factor) for factor in (1, 10, 100))
    ]
    print(
        f"time per line, {lines} : {lines * 10} : {lines * 100} lines = 1 : "
        f"{per_line[1] / per_line[0]:.2f} : {per_line[2] / per_line[0]:.2f}"
    )


if __name__ == "__main__":
    main()
