"""The semantic diff: order that means nothing is ignored, order that decides is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.engine.diff.errors import NoSemanticDiff
from backups.engine.diff.semantic import semantic_diff, semantic_platforms
from inventory.platforms import platform_names

_FIXTURES = Path(__file__).parents[2] / "platforms"
_CISCO_LIKE = ("cisco_ios", "cisco_xe", "cisco_nxos", "cisco_xr", "arista_eos", "aruba_aoscx")

OLD = """\
hostname core
interface Ethernet1
 description uplink
 mtu 9000
 no shutdown
!
interface Ethernet2
 shutdown
!
end
"""
REORDERED = """\
hostname core
!
interface Ethernet2
 shutdown
interface Ethernet1
 no shutdown
 mtu 9000
 description uplink
end
"""


def test_every_platform_of_the_table_exists() -> None:
    assert set(semantic_platforms()) <= set(platform_names())


@pytest.mark.parametrize("platform", _CISCO_LIKE)
def test_order_of_sections_and_settings_means_nothing(platform: str) -> None:
    assert semantic_diff(platform, OLD, REORDERED) == ""


@pytest.mark.parametrize("platform", _CISCO_LIKE)
def test_a_change_stands_under_its_heading(platform: str) -> None:
    new = REORDERED.replace("uplink", "to core-2")
    assert semantic_diff(platform, OLD, new) == (
        " interface Ethernet1\n- description uplink\n+ description to core-2\n"
    )


@pytest.mark.parametrize(
    ("line", "platform"),
    [
        ("version 15.2", "cisco_ios"),
        ("boot system flash:a.bin", "cisco_nxos"),
        ("interface A\n speed 1000", "cisco_xr"),
        ("interface A\n no ip address", "cisco_ios"),
        ("ip access-list extended A\n remark why", "cisco_ios"),
    ],
)
def test_lines_that_remediation_would_drop_count(line: str, platform: str) -> None:
    assert f"+{line.rpartition(chr(10))[2]}" in semantic_diff(platform, OLD, f"{OLD}{line}\n")


@pytest.mark.parametrize("platform", _CISCO_LIKE)
@pytest.mark.parametrize(
    ("heading", "entries"),
    [
        ("ip access-list extended A", (" permit ip any host 192.0.2.1", " deny ip any any")),
        ("ipv6 access-list A", (" permit ipv6 any any", " deny ipv6 any any log")),
        ("policy-map P", (" class A\n  police 1", " class B\n  police 2")),
        ("route-policy R", ("  if destination in A then\n    drop", "  pass")),
        ("aaa group server tacacs+ T", (" server-private 192.0.2.1", " server-private 192.0.2.2")),
        ("", ("access-list 10 permit 192.0.2.1", "access-list 10 deny any")),
        ("", ("ip prefix-list P permit 10.0.0.0/8", "ip prefix-list P deny 0.0.0.0/0 le 32")),
        ("", ("route-map R permit 10\n match tag 1", "route-map R deny 20\n match tag 2")),
        ("", ("ip name-server 192.0.2.1", "ip name-server 192.0.2.2")),
        ("", ("boot system flash:new.bin", "boot system flash:old.bin")),
        ("", ("radius server A\n address ipv4 192.0.2.1", "radius server B\n timeout 5")),
        ("crypto map M 10 ipsec-isakmp", (" set peer 192.0.2.1", " set peer 192.0.2.2")),
    ],
)
def test_order_that_decides_counts(platform: str, heading: str, entries: tuple[str, str]) -> None:
    head = f"{heading}\n" if heading else ""
    old, new = (
        f"hostname a\n{head}{first}\n{second}\nntp server 192.0.2.9\n"
        for first, second in (entries, entries[::-1])
    )
    diff = semantic_diff(platform, old, new)
    assert [line[0] for line in diff.splitlines() if line[0] != " "].count("+") >= 1
    assert entries[0].splitlines()[0].strip() in diff or entries[1].splitlines()[0].strip() in diff
    assert "ntp" not in diff and semantic_diff(platform, old, old) == ""


def test_settings_inside_a_route_map_are_a_set() -> None:
    old = "route-map R permit 10\n match tag 1\n set metric 5\n"
    new = "route-map R permit 10\n set metric 5\n match tag 1\n"
    assert semantic_diff("cisco_ios", old, new) == ""


def test_groups_may_change_places_with_others() -> None:
    lists = "access-list 10 permit any\naccess-list 10 deny any\n"
    assert semantic_diff("cisco_ios", f"ntp master\n{lists}", f"{lists}ntp master\n") == ""


JUNOS = """\
system {
    host-name core;
    services {
        ssh;
        netconf {
            ssh;
        }
    }
}
firewall {
    family inet {
        filter A {
            term one {
                then accept;
            }
            term two {
                then discard;
            }
        }
    }
}
"""


@pytest.mark.parametrize(
    ("head", "servers", "tail"),
    [
        (
            "system {\n    radius-server {\n",
            ["        1.1.1.1;\n", "        2.2.2.2;\n"],
            "    }\n}\n",
        ),
        ("", ["set system radius-server 1.1.1.1\n", "set system radius-server 2.2.2.2\n"], ""),
    ],
)
def test_junos_asks_servers_in_their_order(head: str, servers: list[str], tail: str) -> None:
    old, new = (f"{head}{''.join(order)}{tail}" for order in (servers, servers[::-1]))
    assert f"+{servers[0]}" in semantic_diff("juniper_junos", old, new)


def test_junos_braces() -> None:
    reordered = JUNOS.replace("        ssh;\n", "", 1).replace(
        "    }\n}\nfirewall", "        ssh;\n    }\n}\nfirewall"
    )
    assert reordered != JUNOS
    assert semantic_diff("juniper_junos", JUNOS, reordered) == ""
    one, two = (
        f"            term {name} {{\n                then {action};\n            }}\n"
        for name, action in (("one", "accept"), ("two", "discard"))
    )
    assert semantic_diff("juniper_junos", JUNOS, JUNOS.replace(one + two, two + one)) == (
        " firewall {\n     family inet {\n         filter A {\n"
        "-            term one {\n-                then accept;\n"
        "+            term one {\n+                then accept;\n"
    )


def test_junos_statements_that_begin_like_a_command_keep_their_place() -> None:
    old = "a {\n    b {\n        delete-binding-on-renegotiation;\n    }\n}\n"
    assert semantic_diff("juniper_junos", old, "a {\n    b {\n        x;\n    }\n}\n") == (
        " a {\n     b {\n-        delete-binding-on-renegotiation;\n+        x;\n"
    )


def test_set_lines() -> None:
    free = ["set system host-name a", "set interfaces ge-0/0/0 mtu 9000"]
    terms = [f"set firewall family inet filter A term {name} then accept" for name in "ab"]
    assert semantic_diff("juniper_junos", lines(free), lines(free[::-1])) == ""
    assert semantic_diff("vyos", lines(free), lines(free[::-1])) == ""
    diff = semantic_diff("juniper_junos", lines(free + terms), lines(free + terms[::-1]))
    assert sorted(line[0] for line in diff.splitlines()) == ["+", "-"]


def lines(entries: list[str]) -> str:
    return "".join(f"{entry}\n" for entry in entries)


def test_equal_lines_are_counted() -> None:
    old = "interface A\n same\n same\n"
    assert semantic_diff("cisco_ios", old, "interface A\n same\n") == " interface A\n- same\n"


@pytest.mark.parametrize("platform", semantic_platforms())
def test_fixtures_of_the_platform_can_be_taken_apart(platform: str) -> None:
    for file in sorted((_FIXTURES / platform).glob("*.expected.txt")):
        text = file.read_text()
        assert semantic_diff(platform, text, text) == ""
        assert "+zz new line" in semantic_diff(platform, text, f"{text}zz new line\n")


# --- Where there is none ------------------------------------------------------------------------


def test_other_platforms_name_those_that_have_one() -> None:
    words = "for mikrotik_routeros; there is one for: .*cisco_ios, "
    with pytest.raises(NoSemanticDiff, match=words) as raised:
        semantic_diff("mikrotik_routeros", "a\n", "b\n")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("banner motd ^C\nnever closed\n", "a banner has no end"),
        ("vlan 1\ninterface A\nvlan 1\n", "duplicate section"),
        ("".join(f"{' ' * n}x\n" for n in range(60)), "more than 40 deep"),
        ("a\n" * 30_002, "more than 30000 lines"),
    ],
)
def test_texts_that_cannot_be_taken_apart(text: str, words: str) -> None:
    with pytest.raises(NoSemanticDiff, match=words):
        semantic_diff("cisco_ios", text, "hostname a\n")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(semantic_platforms()), st.lists(st.text(max_size=12), max_size=8))
def test_any_text_is_compared_or_refused(platform: str, entries: list[str]) -> None:
    text = "\n".join(entries)
    try:
        assert semantic_diff(platform, text, text) == ""
        semantic_diff(platform, text, "hostname a\n")
    except NoSemanticDiff as error:
        assert "\n" not in str(error)


def test_large_texts_are_quick() -> None:
    old = "".join(f"interface E{n}\n description {n}\n mtu 9000\n!\n" for n in range(5_000))
    new = old.replace("interface E77\n", "interface E77\n shutdown\n")
    begun = time.process_time()
    assert semantic_diff("cisco_ios", old, new) == " interface E77\n+ shutdown\n"
    # Measured: 0.5 s.
    assert time.process_time() - begun < 10
