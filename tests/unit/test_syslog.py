"""Messages of devices: what tells of a change, by whom, and whose messages are believed."""

from __future__ import annotations

import ipaddress

import pytest

from inventory.platforms import change_in, get_platform, platform_names
from netraven_site.syslog.directory import Directory, Entry, plain_address
from netraven_site.syslog.intake import Intake
from netraven_site.syslog.limits import SourceLimits
from netraven_site.syslog.message import hostname_in

IOS = "<189>45: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured from console by alice on vty0"
JUNOS = "<189>Sep 23 10:21:00 edge1 mgd[4410]: UI_COMMIT: User 'bob' requested 'commit' operation"

#: Platform, message, user; the forms are those of the vendors' references and of logs that people
#: have published.
TOLD = [
    ("mikrotik_switchos", "system,info vlan removed by admin", "admin"),
    ("cisco_ios", IOS, "alice"),
    ("cisco_ios", "%SYS-5-CONFIG_I: Configured from console by console", ""),
    ("cisco_ios", "%SYS-5-CONFIG_I: Configured from 10.0.0.9 by snmp", ""),
    ("cisco_xe", "<189>9: r1: %SYS-SW2-5-CONFIG_I: Configured from console by eve on vty1", "eve"),
    (
        "cisco_xr",
        "<189>RP/0/RP0/CPU0:2024 Jun 27 23:14:49.708 JST: config[66279]: %MGBL-CONFIG-6-DB_COMMIT :"
        " Configuration committed by user 'cisco'. Use 'show configuration commit changes 1' to",
        "cisco",
    ),
    (
        "cisco_nxos",
        "<189>: 2014 Jun 29 19:20:57 UTC: %VSHD-5-VSHD_SYSLOG_CONFIG_I: Configured from vty by"
        " admin on 10.1.1.1@pts/0",
        "admin",
    ),
    (
        "cisco_asa",
        "<165>Nov 08 2013 10:18:30: %ASA-5-111010: User 'john', running 'CLI' from IP 10.57.127.1,"
        " executed 'logging on'",
        "john",
    ),
    (
        "arista_eos",
        "<189>Apr 25 09:29:27 P1 ConfigAgent: %SYS-5-CONFIG_SESSION_COMMIT_SUCCESS: User cvpadmin"
        " committed configuration session CVP-1 successfully on TerminAttr (localhost)",
        "cvpadmin",
    ),
    (
        "arista_eos",
        "Apr 25 09:29:27 P1 ConfigAgent: %SYS-5-CONFIG_I: Configured from console by bob on vty6",
        "bob",
    ),
    ("juniper_junos", JUNOS, "bob"),
    ("juniper_junos", "mgd[3606]: UI_COMMIT: User 'root' performed commit: no comment", "root"),
    (
        "juniper_junos",
        "<165>1 2026-01-01T00:00:00.000Z r1 mgd 3046 UI_COMMIT [junos@2636.1.1.1.2.18"
        ' username="carol" command="commit" message="none"]',
        "carol",
    ),
    (
        "vyos",
        "commit: Successful change to active configuration by user vyos on /dev/pts/0",
        "vyos",
    ),
    (
        "hp_comware",
        "%Jan  1 07:30:19:542 2000 Sysname CFGMAN/5/CFGMAN_CFGCHANGED: -EventIndex=12-CommandSource"
        "=2-ConfigSource=4-ConfigDestination=2; Configuration is changed.",
        "",
    ),
    (
        "fortinet",
        'logid=0100044546 type=event subtype=system logdesc="Attribute configured" user="a@b.na"'
        ' ui="GUI(10.42.8.253)" action=Edit cfgtid=2162733 cfgpath="log.threat-weight"',
        "a@b.na",
    ),
    (
        "f5_tmsh",
        "notice tmsh[18057]: 01420002:5: AUDIT - pid=18057 user=root folder=/Common module=(tmos)#"
        " status=[Command OK] cmd_data=modify ltm pool p1 members add { 10.0.0.1:80 }",
        "root",
    ),
    ("mikrotik_routeros", "<30>Jun 18 20:50:28 edge filter rule changed by netops", "netops"),
    (
        "mikrotik_routeros",
        "system,info nat rule added by winbox-3.41/tcp-msg(winbox):admin@192.0.2.1 (*1 = /ip nat)",
        "admin",
    ),
    (
        "paloalto_panos",
        "<14>Oct 1 12:00:00 fw1 1,2026/10/01 12:00:00,007200001,CONFIG,0,2561,2026/10/01 12:00:00,"
        "192.0.2.7,,commit,dave,Web,Submitted, ,1,0x0",
        "dave",
    ),
    ("huawei", "%%01HWCM/4/CFGCHANGE(s): Configuration changed.", ""),
    ("hp_procurve", "00083 Notice-Type='Running-Config Change', Event-ID='12'", ""),
    (
        "ubiquiti_edgerouter",
        "commit: Successful change to active configuration by user ubnt",
        "ubnt",
    ),
]
#: What devices say when nothing was changed.
NOT_TOLD = [
    ("cisco_ios", "%SYS-5-CONFIG_P: Configured programmatically by process"),
    ("cisco_ios", "%SEC_LOGIN-5-LOGIN_SUCCESS: Login Success [user: CONFIG_I]"),
    ("cisco_xr", "%MGBL-SYS-5-CONFIG_I : Configured from console by clab on vty0"),
    ("arista_eos", "%SYS-5-CONFIG_E: Enter configuration mode from console by bob on vty6"),
    ("juniper_junos", "mgd[1]: UI_DBASE_LOGOUT_EVENT: User 'smith' exiting configuration mode"),
    # What a backup sends itself: an answer to it would go on for ever.
    (
        "cisco_asa",
        "%ASA-5-111010: User 'nr', running 'CLI' from IP 10.0.0.2, executed 'terminal pager 0'",
    ),
    (
        "f5_tmsh",
        "AUDIT - pid=1 user=root folder=/ module=(tmos)# status=[Command OK] cmd_data=list",
    ),
    ("fortinet", 'logdesc="Admin login successful" user="admin" ui="ssh(192.0.2.1)" action=login'),
    (
        "paloalto_panos",
        "1,2026/10/01 12:00:00,0072,CONFIG,0,2561,2026/10/01 12:00:00,192.0.2.7,,set,dave,Web,Done",
    ),
]


@pytest.mark.parametrize(("platform", "message", "user"), TOLD)
def test_a_change_is_recognised(platform: str, message: str, user: str) -> None:
    change = change_in(get_platform(platform), message)
    assert change is not None
    assert change.user == user


@pytest.mark.parametrize(("platform", "message"), NOT_TOLD)
def test_what_is_no_change_is_left_alone(platform: str, message: str) -> None:
    assert change_in(get_platform(platform), message) is None


def test_each_platform_with_messages_is_among_the_cases() -> None:
    telling = {name for name in platform_names() if get_platform(name).change_messages}
    assert telling == {platform for platform, _, _ in TOLD}


@pytest.mark.parametrize("name", [n for n in platform_names() if get_platform(n).change_messages])
def test_a_hostile_message_costs_little(name: str) -> None:
    import time

    for message in get_platform(name).change_messages:
        hostile = (message.sign + "user=" + "a" * 60) * 100
        begin = time.process_time()
        change_in(get_platform(name), hostile[:8192])
        assert time.process_time() - begin < 0.1


@pytest.mark.parametrize(
    ("message", "hostname"),
    [
        ("<165>1 2026-01-01T00:00:00Z Edge1.example.net mgd 3046 UI_COMMIT [", "edge1.example.net"),
        (JUNOS, "edge1"),
        ("<189>Jan  5 2026 10:18:30.123 UTC: sw1 : %ASA", "sw1"),
        ("<189>45: r1: *Mar  1 18:46:11: %SYS-5-CONFIG_I: x", "r1"),
        (IOS, ""),
        ("no syslog at all", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_message(message: str, hostname: str) -> None:
    assert hostname_in(message) == hostname


def test_addresses_have_one_form() -> None:
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("2001:DB8:0::1") == "2001:db8::1"
    assert plain_address("fe80::1%eth0") == "fe80::1"
    assert plain_address("router.example.net") == "router.example.net"


def test_a_source_has_its_share_and_no_more() -> None:
    limits = SourceLimits(10)
    assert sum(limits.allow("192.0.2.1", 0.0) for _ in range(50)) == 10
    assert limits.allow("192.0.2.2", 0.0)
    assert sum(limits.allow("192.0.2.1", 0.5) for _ in range(50)) == 5


def test_many_sources_need_no_more_memory() -> None:
    limits = SourceLimits(10)
    for number in range(30_000):
        limits.allow(str(number), 0.0)
    assert len(limits._buckets) == 10_000


# --- whose message it is ------------------------------------------------------------------------

EDGE = Entry(1, "edge1.example.net", "192.0.2.1", "juniper_junos")
CORE = Entry(2, "core1", "192.0.2.2", "cisco_ios")
#: Two devices behind one address.
LEFT = Entry(3, "left", "192.0.2.3", "juniper_junos")
RIGHT = Entry(4, "right", "192.0.2.3", "juniper_junos")
SERVER = Entry(5, "server", "192.0.2.5", "linux")
DIRECTORY = Directory([EDGE, CORE, LEFT, RIGHT, SERVER])


def intake(*, per_second: float = 1000, relays: tuple[str, ...] = ()) -> Intake:
    networks = [ipaddress.ip_network(relay) for relay in relays]
    return Intake(DIRECTORY, per_second=per_second, relays=networks)


def told(source: str, *messages: str, relays: tuple[str, ...] = ()) -> dict[int, str]:
    """The devices that are backed up after ``messages``, and by whom they were changed."""
    one = intake(relays=relays)
    for message in messages:
        one.take(source, message.encode())
    return {notice.device_id: notice.changed_by for notice in one.taken()}


def test_the_address_says_which_device_it_is() -> None:
    assert told("192.0.2.1", JUNOS) == {1: "bob"}
    assert told("192.0.2.2", IOS, IOS.replace("alice", "carol")) == {2: "carol"}


def test_a_stranger_may_name_any_device_and_is_not_believed() -> None:
    assert told("198.51.100.66", JUNOS) == {}
    assert told("192.0.2.2", JUNOS) == {}  # core1 runs IOS, whatever it says


def test_a_relay_is_believed() -> None:
    relays = ("198.51.100.0/24",)
    assert told("198.51.100.66", JUNOS, relays=relays) == {1: "bob"}
    assert told("198.51.100.66", JUNOS.replace("edge1", "192.0.2.1"), relays=relays) == {1: "bob"}
    assert told("198.51.100.66", JUNOS.replace("edge1", "other"), relays=relays) == {}
    # A device inside the network of relays sends its own messages, without a name in them.
    assert told("192.0.2.2", IOS, relays=("192.0.2.0/24",)) == {2: "alice"}


def test_devices_with_one_address_are_told_apart_by_name() -> None:
    assert told("192.0.2.3", JUNOS.replace("edge1", "right")) == {4: "bob"}
    assert told("192.0.2.3", JUNOS) == {}


def test_every_message_is_accounted_for() -> None:
    one = intake(per_second=6)
    for message in (IOS, IOS, "<13>link down", "\udcff".encode("utf-8", "replace").decode()):
        one.take("192.0.2.2", message.encode())
    one.take("203.0.113.9", IOS.encode())
    one.take("192.0.2.2", b"\xff\x00" * 10_000)
    for _ in range(5):
        one.take("192.0.2.2", IOS.encode())
    assert one.counts["received"] == 11
    assert one.counts["limited"] == 4
    assert one.counts["unrelated"] == 3
    assert one.counts["unknown_source"] == 1
    assert (one.counts["changes"], one.counts["debounced"]) == (3, 2)


def test_who_speaks_last_does_not_drown_who_was_named_before() -> None:
    one = intake()
    for user in ("alice", "bob", "alice", *"vwxyz"):
        one.take("192.0.2.2", IOS.replace("alice", user).encode())
    assert [notice.changed_by for notice in one.taken()] == ["w", "x", "y", "z"]
    for user in ("alice", "bob", "alice"):
        one.take("192.0.2.2", IOS.replace("alice", user).encode())
    assert [notice.changed_by for notice in one.taken()] == ["bob", "alice"]


def test_what_could_not_be_written_waits_and_newer_words_count() -> None:
    one = intake()
    one.take("192.0.2.2", IOS.encode())
    old = one.taken()
    one.take("192.0.2.2", IOS.replace("alice", "carol").encode())
    one.put_back(old)
    assert [notice.changed_by for notice in one.taken()] == ["alice", "carol"]
    one.put_back(old)
    assert [notice.changed_by for notice in one.taken()] == ["alice"]
