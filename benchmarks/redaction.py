"""How fast a configuration is redacted on one core, and what hostile lines cost.

python -m benchmarks.redaction [--lines 1500] [--rounds 20]
"""

from __future__ import annotations

import argparse
import time

from backups.engine.redaction import Redactor
from inventory.platforms import PlatformDefinition, get_platform

#: The aims that the figures are held against.
AIM_MEGABYTES_PER_SECOND = 20.0
AIM_HOSTILE_SECONDS = 1.0

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
    }
    return {name: (piece * (size // len(piece) + 1))[:size] for name, piece in pieces.items()}


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
    text = configuration(options.lines)
    size = len(text.encode())
    for name, platform in (("cisco_ios", get_platform("cisco_ios")), ("unknown platform", None)):
        redactor.redact(platform, text)
        best = min(seconds(redactor, platform, text) for _ in range(options.rounds))
        rate = size / best / 1e6
        verdict = "reached" if rate >= AIM_MEGABYTES_PER_SECOND else "missed"
        print(
            f"{name}: {options.lines} lines, {size / 1e3:.0f} kB in {best * 1e3:.2f} ms, "
            f"{rate:.1f} MB/s (aim {AIM_MEGABYTES_PER_SECOND:.0f}: {verdict})"
        )
    for name, line in hostile_lines(1_000_000).items():
        taken = seconds(redactor, None, line)
        verdict = "ok" if taken < AIM_HOSTILE_SECONDS else "TOO SLOW"
        print(f"hostile line of 1 MB, {name}: {taken:.2f} s ({verdict})")


if __name__ == "__main__":
    main()
