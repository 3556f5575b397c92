"""`show configuration` of Juniper Junos, with braces and as `| display set`."""

from __future__ import annotations

from netraven_site.demo.simulator.configs.layout import CLOCK, MAIN, Filler, Views
from netraven_site.demo.simulator.configs.statements import Statement, brace_lines, set_lines
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

_PREFIXES_PER_LIST = 40
_REMARK = " ## SECRET-DATA"


def render(state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
    """Render; `set` is the view of `display set`, which has no time line."""
    statements = [
        ("version 21.4R3.15",),
        *_system(state, secrets),
        *_interfaces(state),
        *_snmp(state, secrets),
        *_policy(state, filler),
        *_routing(state, filler),
        *_protocols(state, secrets),
        *_vlans(state),
    ]
    commit = f"## Last commit: {CLOCK} by {state.admin}"
    return {
        MAIN: [commit, *brace_lines(statements, ";")],
        "set": [line.removesuffix(_REMARK) for line in set_lines(statements)],
    }


def _system(state: NetworkState, secrets: SecretBook) -> list[Statement]:
    admin = ("system", "login", f"user {state.admin}")
    ops = ("system", "login", "user ops")
    return [
        ("system", f"host-name {state.hostname}"),
        (
            "system",
            "root-authentication",
            f'encrypted-password "{secrets.sha512_crypt("enable")}"{_REMARK}',
        ),
        (*admin, "uid 2001"),
        (*admin, "class super-user"),
        (
            *admin,
            "authentication",
            f'encrypted-password "{secrets.sha512_crypt("user.admin")}"{_REMARK}',
        ),
        (*ops, "class operator"),
        (
            *ops,
            "authentication",
            f'encrypted-password "{secrets.sha512_crypt("user.ops")}"{_REMARK}',
        ),
        ("system", "login", 'message "Property of Site Ltd. Keep out."'),
        ("system", "services", "ssh", "root-login deny"),
        ("system", "services", "netconf", "ssh"),
        (
            "system",
            "radius-server",
            state.aaa_server,
            f'secret "{secrets.junos9("radius")}"{_REMARK}',
        ),
        (
            "system",
            "tacplus-server",
            state.aaa_server,
            f'secret "{secrets.junos9("tacacs")}"{_REMARK}',
        ),
        ("system", "syslog", f"host {state.syslog_server}", "any notice"),
        (
            "system",
            "ntp",
            f'authentication-key 1 type md5 value "{secrets.junos9("ntp")}"{_REMARK}',
        ),
        *(("system", "ntp", f"server {server}") for server in state.ntp_servers),
    ]


def _interfaces(state: NetworkState) -> list[Statement]:
    statements: list[Statement] = []
    for port in state.ports:
        block = ("interfaces", f"ge-0/0/{port.number - 1}")
        statements.append((*block, f'description "{port.description}"'))
        if not port.enabled:
            statements.append((*block, "disable"))
        family = (*block, "unit 0", "family ethernet-switching")
        statements.append((*family, "vlan", f"members vlan-{port.vlan}"))
    for vlan in state.vlans:
        unit = ("interfaces", "irb", f"unit {vlan.number}", "family inet")
        statements.append((*unit, f"address {state.vlan_address(vlan)}/24"))
    management = ("interfaces", "fxp0", "unit 0", "family inet")
    return [*statements, (*management, f"address {state.management_address}/24")]


def _snmp(state: NetworkState, secrets: SecretBook) -> list[Statement]:
    trap = ("snmp", "trap-group SITE")
    return [
        ("snmp", f'location "{state.location}"'),
        ("snmp", 'contact "noc@site.example"'),
        ("snmp", f"community {secrets.clear('snmp.ro')}", "authorization read-only"),
        ("snmp", f"community {secrets.clear('snmp.rw')}", "authorization read-write"),
        (*trap, "version v2"),
        (*trap, "targets", state.syslog_server),
    ]


def _policy(state: NetworkState, filler: Filler) -> list[Statement]:
    return [
        (
            "policy-options",
            f"prefix-list SITE-{block + 1:03d}",
            f"10.{(100 + block) % 256}.{number}.0/24",
        )
        for block in range(filler.filters)
        for number in range(_PREFIXES_PER_LIST)
    ] + [("policy-options", "policy-statement EXPORT", "term 1", "then accept")]


def _routing(state: NetworkState, filler: Filler) -> list[Statement]:
    static = ("routing-options", "static")
    routes: list[Statement] = [
        (*static, f"route {state.static_route(index)}/24 next-hop {state.gateway}")
        for index in range(filler.routes)
    ]
    return [
        (*static, f"route 0.0.0.0/0 next-hop {state.gateway}"),
        *routes,
        ("routing-options", f"autonomous-system {state.autonomous_system}"),
    ]


def _protocols(state: NetworkState, secrets: SecretBook) -> list[Statement]:
    statements: list[Statement] = []
    for neighbour in state.neighbours:
        block = ("protocols", "bgp", "group TRANSIT", f"neighbor {neighbour.address}")
        statements += [
            (*block, f'description "{neighbour.name}"'),
            (*block, f'authentication-key "{secrets.junos9("bgp")}"{_REMARK}'),
            (*block, f"peer-as {neighbour.autonomous_system}"),
        ]
    ospf = ("protocols", "ospf", "area 0.0.0.0", "interface irb.10", "authentication")
    return [*statements, (*ospf, f'md5 1 key "{secrets.junos9("ospf")}"{_REMARK}')]


def _vlans(state: NetworkState) -> list[Statement]:
    statements: list[Statement] = []
    for vlan in state.vlans:
        block = ("vlans", f"vlan-{vlan.number}")
        statements += [
            (*block, f"description {vlan.name}"),
            (*block, f"vlan-id {vlan.number}"),
            (*block, f"l3-interface irb.{vlan.number}"),
        ]
    return statements
