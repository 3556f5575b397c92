"""Files of Oxidized, RANCID and NetBox are read as those programs read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inventory.formats import (
    DeviceRecord,
    FileUnreadable,
    ForeignPlatforms,
    OxidizedSource,
    Reading,
    read_netbox,
    read_oxidized,
    read_oxidized_config,
    read_rancid,
)
from inventory.formats.platform_names import NETBOX_SLUGS, OXIDIZED_MODELS, RANCID_TYPES
from inventory.platforms import get_platform, platform_names

SECRET = "Zq9-CANARY-5uP3R"
OURS = frozenset(platform_names())


def platforms(known: Any, **told: str) -> ForeignPlatforms:
    return ForeignPlatforms(noun="model", known=known, ours=OURS, told=told)


def only(reading: Reading) -> DeviceRecord:
    assert reading.problems == []
    (record,) = reading.records
    return record


@pytest.mark.parametrize("known", [OXIDIZED_MODELS, RANCID_TYPES, NETBOX_SLUGS])
def test_every_name_leads_to_a_platform_that_there_is(known: dict[str, str]) -> None:
    for name, ours in known.items():
        assert get_platform(ours).name == ours, name
        assert name == name.lower()


# --- Oxidized -----------------------------------------------------------------------------------

#: As in docs/Sources.md of Oxidized, with what may stand around it.
CONFIG = r"""
username: everybody
password: Zq9-CANARY-everybody
model: junos
vars:
  enable: Zq9-CANARY-enable
groups:
  edge:
    username: edge-user
    password: Zq9-CANARY-edge
    models:
      ios:
        vars: {enable: Zq9-CANARY-edge-ios}
prompt: !ruby/regexp /^([\w.@-]+[#>]\s?)$/
source:
  default: csv
  csv:
    file: /var/lib/oxidized/router.db
    delimiter: !ruby/regexp /\|/
    map: {name: 0, ip: 1, model: 2, group: 3, username: 4, password: 5, input: 6}
    vars_map: {ssh_port: 7, telnet_port: 8, enable: 9}
model_map:
  cisco: ios
group_map:
  e: edge
"""


def oxidized(text: str, config: str | None = CONFIG, **told: str) -> Reading:
    source = OxidizedSource() if config is None else read_oxidized_config(config)
    return read_oxidized(text, source=source, platforms=platforms(OXIDIZED_MODELS, **told))


def test_a_line_of_oxidized_says_everything() -> None:
    line = f"rtr1|192.0.2.1/24|cisco|e|oxi|{SECRET}|ssh, telnet|2222|23|{SECRET}-en"
    record = only(oxidized(f"# comment\n\n{line}\n"))
    assert (record.hostname, record.ip_address, record.platform) == (
        "rtr1",
        "192.0.2.1",
        "cisco_ios",
    )
    assert (record.place, record.tags, record.values) == ("line 3", ("edge",), {"port": 2222})
    assert record.login is not None and SECRET not in repr(record)
    assert (record.login.username, record.login.password) == ("oxi", SECRET)
    assert record.login.enable_secret == f"{SECRET}-en"


@pytest.mark.parametrize(
    ("line", "user", "password", "enable"),
    [
        ("r|192.0.2.1|ios|edge||", "edge-user", "Zq9-CANARY-edge", "Zq9-CANARY-edge-ios"),
        ("r|192.0.2.1|eos|edge|nil|nil", "edge-user", "Zq9-CANARY-edge", "Zq9-CANARY-enable"),
        ("r|192.0.2.1|eos||own|x||||true", "own", "x", "Zq9-CANARY-enable"),
        ("r", "everybody", "Zq9-CANARY-everybody", "Zq9-CANARY-enable"),
    ],
)
def test_what_a_line_leaves_out_is_taken_from_group_model_and_all(
    line: str, user: str, password: str, enable: str
) -> None:
    login = only(oxidized(line)).login
    assert login is not None
    assert (login.username, login.password, login.enable_secret) == (user, password, enable)


def test_a_name_alone_is_its_own_address_and_has_the_default_model() -> None:
    record = only(oxidized("core1.example.net"))
    assert (record.ip_address, record.platform) == ("core1.example.net", "juniper_junos")


def test_telnet_is_taken_where_it_is_the_only_way() -> None:
    record = only(oxidized("r|192.0.2.1|ios||||telnet|22|2323"))
    assert record.values == {"transport": "telnet", "port": 2323}


def test_without_a_mapping_only_oxidizeds_own_two_columns_are_understood() -> None:
    assert only(oxidized("rtr1:ios", config=None)).platform == "cisco_ios"
    reading = oxidized(f"rtr1:{SECRET}:ios", config=None)
    assert reading.records == [] and SECRET not in str(reading.problems)
    assert "--mapping" in reading.problems[0]


def test_the_part_of_the_csv_source_is_enough() -> None:
    part = "delimiter: ';'\nmap: {name: 0, model: 1}\n"
    assert only(oxidized("r;ios", config=part)).hostname == "r"
    assert only(
        oxidized("r;ios", config=f"csv:\n  {part.replace(chr(10), chr(10) + '  ')}")
    ).hostname


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("|192.0.2.1|ios", "the name is empty"),
        ("r|192.0.2.1|betamax", "model 'betamax' is none that NetRaven knows"),
        ("r|192.0.2.1|ios||||ssh|no", "'no' is no port"),
    ],
)
def test_what_is_wrong_with_a_line_of_oxidized(line: str, words: str) -> None:
    (problem,) = oxidized(line).problems
    assert problem.startswith("line 1: ") and words in problem


def test_a_model_can_be_named_or_left_out() -> None:
    assert only(oxidized("r|192.0.2.1|betamax", betamax="linux")).platform == "linux"
    reading = oxidized("r|192.0.2.1|betamax", betamax="skip")
    assert (reading.records, len(reading.left_out)) == ([], 1)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("a: [", "line 1: not the YAML"),
        ("- 1", "no keys with values"),
        ("username: x", "no 'map'"),
        ("map: {model: 0}", "no column for 'name'"),
        ("map: {name: first}", "is no number"),
        ("map: {name: true}", "is no number"),
        ("map: {name: -1}", "is not in 0..1000"),
        ("map: {name: 0}\ngpg: true", "decrypt it"),
        ("map: {name: 0}\ndelimiter: ''", "it is empty"),
        ("map: {name: 0}\ndelimiter: !ruby/regexp '/(a+)+$/'", "only a fixed text"),
        (f"password: {SECRET}: {SECRET}", "not the YAML"),
        ("x: !!python/object/apply:os.system [echo]", "not the YAML"),
        ("[" * 5000, "not the YAML"),
    ],
)
def test_what_is_wrong_with_a_configuration_of_oxidized(config: str, words: str) -> None:
    with pytest.raises(FileUnreadable, match=words.replace("'", ".")) as caught:
        read_oxidized_config(config)
    assert SECRET not in str(caught.value)


# --- RANCID -------------------------------------------------------------------------------------

CLOGINRC = r"""
# the first match for a hostname takes precedence
add user        *.custx.net     roger
add password    *.custx.net     {Zq9-CANARY\}vty} {Zq9-CANARY-unused}
add autoenable  *.custx.net     1
add password    *.custy.net     {vector}        {victor}
add userpassword edge?          "own pass"
add user        edge[12]        {edge user}
add method      edge1           {telnet} {ssh}
add method      edge2           {telnet:2023}
add method      edge3           rsh
add method      old.custx.net   {ssh:2222}
add cyphertype  *               {3des}
add user        *               {netops}   ;# everybody else
add password    *               {clearance} {clarence}
"""


def rancid(text: str, cloginrc: str | None = CLOGINRC, user: str | None = None) -> Reading:
    return read_rancid(
        text, platforms=platforms(RANCID_TYPES), cloginrc=cloginrc, default_user=user
    )


@pytest.mark.parametrize(
    ("line", "name", "active", "description"),
    [
        ("core1;cisco-nx;up", "core1", True, None),
        ("core1:cisco-nx:up", "core1", True, None),
        ("2001:db8::1;cisco-nx;up;spare: rack 3", "2001:db8::1", True, "spare: rack 3"),
        (
            "core1;cisco-nx;down;in testing; until 5/5",
            "core1",
            False,
            "down: in testing; until 5/5",
        ),
        ("core1:cisco-nx:ticketed:Ticket 6054234", "core1", False, "ticketed: Ticket 6054234"),
    ],
)
def test_a_line_of_router_db(line: str, name: str, active: bool, description: str | None) -> None:
    record = only(rancid(f"# comment\n{line}\n", cloginrc=None))
    assert (record.hostname, record.ip_address, record.platform) == (name, name, "cisco_nxos")
    assert record.values["is_active"] is active
    assert record.values.get("description") == description
    assert record.login is None and record.tags is None


@pytest.mark.parametrize(
    ("name", "user", "password", "enable", "way"),
    [
        ("r.custx.net", "roger", "Zq9-CANARY}vty", None, {}),
        ("R.CUSTX.NET", "roger", "Zq9-CANARY}vty", None, {}),
        ("old.custx.net", "roger", "Zq9-CANARY}vty", None, {"transport": "ssh", "port": 2222}),
        ("r.custy.net", "netops", "vector", "victor", {}),
        ("edge1", "edge user", "own pass", "clarence", {"transport": "ssh"}),
        ("edge2", "edge user", "own pass", "clarence", {"transport": "telnet", "port": 2023}),
        ("else", "netops", "clearance", "clarence", {}),
    ],
)
def test_the_first_directive_that_fits_counts(
    name: str, user: str, password: str, enable: str | None, way: dict[str, Any]
) -> None:
    record = only(rancid(f"{name};cisco;up"))
    assert record.login is not None and password not in repr(record)
    assert (record.login.username, record.login.password) == (user, password)
    assert record.login.enable_secret == enable
    assert record.values == {"is_active": True, **way}


def test_the_account_of_rancid_has_to_be_named() -> None:
    file = f"add user * $env(USER)\nadd password * {SECRET}\n"
    (problem,) = rancid("r;cisco;up", file).problems
    assert "--default-user" in problem and SECRET not in problem
    login = only(rancid("r;cisco;up", file, user="rancid")).login
    assert login is not None and login.username == "rancid"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("core1", "NAME;TYPE;STATE"),
        ("core1;cisco", "NAME;TYPE;STATE"),
        (";cisco;up", "NAME;TYPE;STATE"),
        ("core1;ezt3;up", "'ezt3' is none that NetRaven knows"),
        ("edge3;cisco;up", "'rsh' is neither ssh nor telnet"),
    ],
)
def test_what_is_wrong_with_a_line_of_router_db(line: str, words: str) -> None:
    (problem,) = rancid(line).problems
    assert problem.startswith("line 1: ") and words in problem


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"add password * {{{SECRET}", "not closed"),
        ("include {/home/rancid/.more}", "not included"),
        (f"add password {SECRET}", "a line is 'add"),
        (f"pasword * {SECRET}", "a line is 'add"),
    ],
)
def test_what_is_wrong_with_a_line_of_cloginrc(line: str, words: str) -> None:
    problems = rancid("r;cisco;up", f"\n{line}\nadd user * u\nadd password * p\n").problems
    assert [one for one in problems if one.startswith(".cloginrc line 2: ") and words in one]
    assert SECRET not in str(problems)


def test_a_comment_behind_a_separator_says_nothing() -> None:
    reading = rancid("r;cisco;up", ";# old\nadd user * u\n  ;#\nadd password * p\n")
    assert reading.problems == []


# --- NetBox -------------------------------------------------------------------------------------


def entry(**changes: Any) -> dict[str, Any]:
    """As NetBox 4 answers it, without what is not read."""
    return {
        "id": 7,
        "name": "core1",
        "site": {"id": 1, "name": "Berlin 1", "slug": "berlin-1"},
        "platform": {"id": 2, "name": "Cisco IOS-XE", "slug": "cisco-ios-xe"},
        "status": {"value": "active", "label": "Active"},
        "primary_ip": {"id": 3, "address": "2001:db8::1/64"},
        "primary_ip4": {"id": 4, "address": "192.0.2.1/24"},
        "description": "Rack 3\r\ntop",
        "tags": [{"id": 1, "name": "Core", "slug": "core"}],
        **changes,
    }


def netbox(data: Any) -> Reading:
    text = data if isinstance(data, str) else json.dumps(data)
    return read_netbox(text, platforms=platforms(NETBOX_SLUGS))


@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: {"count": 1, "results": [one]}])
def test_a_device_of_netbox(wrap: Any) -> None:
    record = only(netbox(wrap(entry())))
    assert (record.hostname, record.ip_address, record.platform) == (
        "core1",
        "2001:db8::1",
        "cisco_xe",
    )
    assert record.tags == ("berlin-1", "core")
    assert record.values == {"is_active": True, "description": "Rack 3 top"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"primary_ip": None}, "192.0.2.1"),
        ({"primary_ip": None, "primary_ip4": None, "primary_ip6": {"address": "::2/64"}}, "::2"),
    ],
)
def test_one_of_the_primary_addresses_is_taken(changes: Any, expected: str) -> None:
    assert only(netbox([entry(**changes)])).ip_address == expected


@pytest.mark.parametrize("status", ["offline", {"value": "decommissioning"}, {"value": "planned"}])
def test_what_is_not_active_is_inactive(status: Any) -> None:
    assert only(netbox([entry(status=status)])).values["is_active"] is False


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": None}, "(id '7'): it has no name"),
        ({"primary_ip": None, "primary_ip4": None}, "no primary IP address"),
        ({"platform": None}, "no platform"),
    ],
)
def test_what_cannot_be_backed_up_is_left_out(changes: Any, words: str) -> None:
    reading = netbox([entry(**changes)])
    assert (reading.records, reading.problems) == ([], [])
    assert words in reading.left_out[0]


def test_one_page_of_several_is_said_to_be_one() -> None:
    reading = netbox({"count": 900, "next": "https://netbox/?page=2", "results": [entry()]})
    assert "one page of 900" in reading.notes[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ({"detail": "Invalid token"}, "neither a list"),
        ("7", "neither a list"),
    ],
)
def test_what_is_no_answer_of_netbox(data: Any, words: str) -> None:
    with pytest.raises(FileUnreadable, match=words):
        netbox(data)


@pytest.mark.parametrize("odd", [7, None, [], {"name": 7, "platform": "x", "primary_ip": 9}])
def test_odd_entries_are_named_or_left_out(odd: Any) -> None:
    reading = netbox([odd, entry()])
    assert len(reading.problems) + len(reading.left_out) == 1 and len(reading.records) == 1
