"""`show running-config` of Arista EOS."""

from __future__ import annotations

from netraven_site.demo.simulator.configs.layout import CLOCK, MAIN, Filler, Views
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

_RULES_PER_FILTER = 40


def render(state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
    """Render; the first lines name command and time, the last line is `end`."""
    body = [
        f"! device: {state.hostname} (DCS-7050SX3-48YC8, EOS-4.29.2F)",
        "!",
        "! boot system flash:/EOS-4.29.2F.swi",
        "!",
        *_management(state, secrets),
        *_interfaces(state, secrets),
        *_filters(state, filler),
        *_routing(state, secrets, filler),
        "end",
    ]
    running = ["! Command: show running-config", f"! Time: {CLOCK}", *body]
    saved = f"! Startup-config last modified at {CLOCK} by {state.admin}"
    return {MAIN: running, "startup": ["! Command: show startup-config", saved, *body]}


def _management(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines = [
        "no aaa root",
        "!",
        f"enable password sha512 {secrets.sha512_crypt('enable')}",
        f"username {state.admin} privilege 15 role network-admin secret sha512"
        f" {secrets.sha512_crypt('user.admin')}",
        f"username ops privilege 5 secret sha512 {secrets.sha512_crypt('user.ops')}",
        "!",
        f"radius-server host {state.aaa_server} key 7 {secrets.type7('radius')}",
        f"tacacs-server host {state.aaa_server} key 7 {secrets.type7('tacacs')}",
        "!",
        "transceiver qsfp default-mode 4x10G",
        "!",
        "service routing protocols model multi-agent",
        "!",
        f"logging host {state.syslog_server}",
        f"hostname {state.hostname}",
        "dns domain site.example",
        "!",
        f"ntp authentication-key 1 md5 7 {secrets.type7('ntp')}",
        *(f"ntp server {server}" for server in state.ntp_servers),
        "!",
        "snmp-server contact noc@site.example",
        f"snmp-server location {state.location}",
        f"snmp-server community {secrets.clear('snmp.ro')} ro",
        f"snmp-server community {secrets.clear('snmp.rw')} rw",
        f"snmp-server user poller v3 v3 auth sha {secrets.clear('snmp.auth')} priv aes"
        f" {secrets.clear('snmp.priv')}",
        "!",
        "spanning-tree mode mstp",
        "!",
    ]
    for vlan in state.vlans:
        lines += [f"vlan {vlan.number}", f"   name {vlan.name}", "!"]
    return lines


def _interfaces(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines: list[str] = []
    for port in state.ports:
        lines += [
            f"interface Ethernet{port.number}",
            f"   description {port.description}",
            "   no shutdown" if port.enabled else "   shutdown",
            f"   switchport access vlan {port.vlan}",
            "!",
        ]
    lines += ["interface Management1", f"   ip address {state.management_address}/24", "!"]
    for vlan in state.vlans:
        lines += [f"interface Vlan{vlan.number}", f"   ip address {state.vlan_address(vlan)}/24"]
        if vlan.number == 10:
            lines += [
                f"   ip ospf authentication-key 7 {secrets.type7('ospf')}",
                f"   vrrp 10 peer authentication text {secrets.clear('vrrp')}",
                f"   vrrp 10 ipv4 10.{state.site}.10.1",
            ]
        lines.append("!")
    return lines


def _filters(state: NetworkState, filler: Filler) -> list[str]:
    lines: list[str] = []
    for block in range(filler.filters):
        lines.append(f"ip access-list SITE-{block + 1:03d}")
        lines += [
            f"   {10 * number} {'permit' if rule.permit else 'deny'} {rule.protocol}"
            f" {rule.network}/24 any eq {rule.port}"
            for number, rule in enumerate(state.access_rules(block, _RULES_PER_FILTER), 1)
        ]
        lines.append("!")
    return lines


def _routing(state: NetworkState, secrets: SecretBook, filler: Filler) -> list[str]:
    lines = ["ip routing", "!", f"ip route 0.0.0.0/0 {state.gateway}"]
    lines += [
        f"ip route {state.static_route(index)}/24 {state.gateway}" for index in range(filler.routes)
    ]
    lines += ["!", f"router bgp {state.autonomous_system}"]
    for neighbour in state.neighbours:
        lines += [
            f"   neighbor {neighbour.address} remote-as {neighbour.autonomous_system}",
            f"   neighbor {neighbour.address} description {neighbour.name}",
            f"   neighbor {neighbour.address} password 7 {secrets.type7('bgp')}",
        ]
    return [
        *lines,
        "!",
        "banner motd",
        "Property of Site Ltd. Keep out.",
        "EOF",
        "!",
        "management ssh",
        "   idle-timeout 15",
        "!",
    ]
