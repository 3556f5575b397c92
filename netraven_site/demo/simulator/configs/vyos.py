"""`show configuration commands` of VyOS, and the same with braces."""

from __future__ import annotations

from netraven_site.demo.simulator.configs.layout import MAIN, Filler, Views
from netraven_site.demo.simulator.configs.statements import Statement, brace_lines, set_lines
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

_RULES_PER_FILTER = 10


def render(state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
    """Render; VyOS prints no time, two reads of an unchanged device are equal."""
    statements = [
        *_firewall(state, filler),
        *_interfaces(state, secrets),
        *_protocols(state, secrets, filler),
        *_service(state, secrets),
        *_system(state, secrets),
        *_vpn(secrets),
    ]
    return {
        MAIN: set_lines(_quoted(statement) for statement in statements),
        "braces": brace_lines((_double_quoted(statement) for statement in statements), ""),
    }


def _quoted(statement: Statement) -> Statement:
    *blocks, leaf = statement
    name, blank, value = leaf.partition(" ")
    return (*blocks, f"{name} '{value}'" if blank else name)


def _double_quoted(statement: Statement) -> Statement:
    *blocks, leaf = statement
    name, blank, value = leaf.partition(" ")
    return (*blocks, f'{name} "{value}"' if blank else name)


def _firewall(state: NetworkState, filler: Filler) -> list[Statement]:
    statements: list[Statement] = []
    for block in range(filler.filters):
        table = ("firewall", "ipv4", f"name SITE-{block + 1:03d}")
        statements.append((*table, "default-action drop"))
        for number, rule in enumerate(state.access_rules(block, _RULES_PER_FILTER), 1):
            entry = (*table, f"rule {10 * number}")
            statements += [
                (*entry, f"action {'accept' if rule.permit else 'drop'}"),
                (*entry, "destination", f"port {rule.port}"),
                (*entry, f"protocol {rule.protocol}"),
                (*entry, "source", f"address {rule.network}/24"),
            ]
    return statements


def _interfaces(state: NetworkState, secrets: SecretBook) -> list[Statement]:
    statements: list[Statement] = []
    for port in state.ports:
        block = ("interfaces", f"ethernet eth{port.number - 1}")
        statements.append((*block, f"description {port.description}"))
        if not port.enabled:
            statements.append((*block, "disable"))
        if port.number == 1:
            statements.append((*block, f"address {state.management_address}/24"))
            statements += _sub_interfaces(state, block)
    tunnel = ("interfaces", "wireguard wg0")
    return [
        *statements,
        (*tunnel, f"address 10.254.{state.site}.1/30"),
        (*tunnel, f"private-key {secrets.base64_key('wireguard')}"),
        (*tunnel, "port 51820"),
    ]


def _sub_interfaces(state: NetworkState, port: Statement) -> list[Statement]:
    statements: list[Statement] = []
    for vlan in state.vlans:
        block = (*port, f"vif {vlan.number}")
        statements += [
            (*block, f"address {state.vlan_address(vlan)}/24"),
            (*block, f"description {vlan.name}"),
        ]
    return statements


def _protocols(state: NetworkState, secrets: SecretBook, filler: Filler) -> list[Statement]:
    statements: list[Statement] = []
    for neighbour in state.neighbours:
        block = ("protocols", "bgp", f"neighbor {neighbour.address}")
        statements += [
            (*block, f"description {neighbour.name}"),
            (*block, f"password {secrets.clear('bgp')}"),
            (*block, f"remote-as {neighbour.autonomous_system}"),
        ]
    ospf = ("protocols", "ospf", "interface eth1", "authentication")
    statements += [
        ("protocols", "bgp", f"system-as {state.autonomous_system}"),
        (*ospf, f"plaintext-password {secrets.clear('ospf', 8)}"),
        ("protocols", "static", "route 0.0.0.0/0", f"next-hop {state.gateway}"),
    ]
    return statements + [
        ("protocols", "static", f"route {state.static_route(index)}/24", "blackhole")
        for index in range(filler.routes)
    ]


def _service(state: NetworkState, secrets: SecretBook) -> list[Statement]:
    snmp = ("service", "snmp")
    return [
        *(("service", "ntp", f"server {server}") for server in state.ntp_servers),
        (*snmp, f"community {secrets.clear('snmp.ro')}", "authorization ro"),
        (*snmp, f"community {secrets.clear('snmp.rw')}", "authorization rw"),
        (*snmp, "contact noc@site.example"),
        (*snmp, f"location {state.location}"),
        ("service", "ssh", "port 22"),
    ]


def _system(state: NetworkState, secrets: SecretBook) -> list[Statement]:
    login = ("system", "login")
    admin = (*login, f"user {state.admin}", "authentication")
    ops = (*login, "user ops", "authentication")
    return [
        ("system", "config-management", "commit-revisions 100"),
        ("system", f"host-name {state.hostname}"),
        (*login, "banner", "pre-login Property of Site Ltd. Keep out."),
        (*login, "radius", f"server {state.aaa_server}", f"key {secrets.clear('radius')}"),
        (*login, "tacacs", f"server {state.aaa_server}", f"key {secrets.clear('tacacs')}"),
        (*admin, f"encrypted-password {secrets.sha512_crypt('user.admin')}"),
        (*ops, f"encrypted-password {secrets.sha512_crypt('user.ops')}"),
        ("system", "syslog", f"host {state.syslog_server}", "facility all", "level notice"),
        ("system", "time-zone UTC"),
    ]


def _vpn(secrets: SecretBook) -> list[Statement]:
    peer = ("vpn", "ipsec", "authentication", "psk branch")
    return [
        (*peer, "id 198.51.100.77"),
        (*peer, f"secret {secrets.clear('ipsec', 24)}"),
    ]
