"""`show running-config` of Cisco IOS."""

from __future__ import annotations

from netraven_site.demo.simulator.configs.layout import (
    CLOCK,
    DRIFT,
    MAIN,
    Filler,
    Views,
    certificate_lines,
    indent,
)
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState, Port

_RULES_PER_FILTER = 40


def render(state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
    """Render; the first lines name the time of the last change, the last line is `end`."""
    body = [
        *_head(state),
        *_aaa(state, secrets),
        *_certificate(state),
        *_vlans(state),
        *_interfaces(state, secrets),
        *_routing(state, secrets, filler),
        *_filters(state, filler),
        *_management(state, secrets),
        "end",
    ]
    size = sum(len(line) + 1 for line in body)
    intro = ["Building configuration...", "", f"Current configuration : {size} bytes"]
    startup = [f"Using {size} out of 2097152 bytes", *body]
    return {MAIN: [*intro, *body], "startup": startup}


def _head(state: NetworkState) -> list[str]:
    return [
        "!",
        f"! Last configuration change at {CLOCK} by {state.admin}",
        f"! NVRAM config last updated at {CLOCK} by {state.admin}",
        "!",
        "version 15.2",
        "service timestamps debug datetime msec",
        "service timestamps log datetime msec localtime show-timezone",
        "service password-encryption",
        "!",
        f"hostname {state.hostname}",
        "!",
        "boot-start-marker",
        "boot-end-marker",
        "!",
    ]


def _aaa(state: NetworkState, secrets: SecretBook) -> list[str]:
    return [
        f"enable secret 9 {secrets.ios_type9('enable')}",
        "!",
        f"username {state.admin} privilege 15 secret 9 {secrets.ios_type9('user.admin')}",
        f"username ops privilege 5 password 7 {secrets.type7('user.ops')}",
        f"username emergency privilege 15 secret 5 {secrets.ios_type5('user.emergency')}",
        f"username audit privilege 1 secret 8 {secrets.ios_type8('user.audit')}",
        "aaa new-model",
        "!",
        "aaa group server radius SITE",
        " server name SITE-1",
        "!",
        "aaa authentication login default group SITE local",
        "aaa authorization exec default group SITE local if-authenticated",
        "!",
        "no ip domain lookup",
        "ip domain name site.example",
        "!",
        "key chain SITE-OSPF",
        " key 1",
        f"  key-string 7 {secrets.type7('ospf')}",
        "!",
    ]


def _certificate(state: NetworkState) -> list[str]:
    return [
        "crypto pki trustpoint SELF",
        " enrollment selfsigned",
        " revocation-check none",
        "!",
        "crypto pki certificate chain SELF",
        " certificate self-signed 01",
        *indent(certificate_lines(state.hostname), 2),
        "  \tquit",
        "!",
        "spanning-tree mode rapid-pvst",
        "spanning-tree extend system-id",
        "!",
    ]


def _vlans(state: NetworkState) -> list[str]:
    lines: list[str] = []
    for vlan in state.vlans:
        lines += [f"vlan {vlan.number}", f" name {vlan.name}", "!"]
    return lines


def _interfaces(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines = ["interface Loopback0", f" ip address 10.255.{state.site}.{state.host_number}"
             " 255.255.255.255", "!"]  # fmt: skip
    for port in state.ports:
        lines += _port(port)
    for vlan in state.vlans:
        lines += [
            f"interface Vlan{vlan.number}",
            f" description {vlan.name.lower()}",
            f" ip address {state.vlan_address(vlan)} 255.255.255.0",
        ]
        if vlan.number == 10:
            lines += [
                f" ip ospf authentication-key 7 {secrets.type7('ospf.area')}",
                f" standby 10 ip 10.{state.site}.10.1",
                f" standby 10 authentication md5 key-string 7 {secrets.type7('hsrp')}",
            ]
        lines.append("!")
    return lines


def _port(port: Port) -> list[str]:
    return [
        f"interface GigabitEthernet1/0/{port.number}",
        f" description {port.description}",
        f" switchport access vlan {port.vlan}",
        " switchport mode access",
        " no shutdown" if port.enabled else " shutdown",
        " spanning-tree portfast",
        "!",
    ]


def _routing(state: NetworkState, secrets: SecretBook, filler: Filler) -> list[str]:
    lines = [
        "router ospf 1",
        " area 0 authentication message-digest",
        f" network 10.{state.site}.0.0 0.0.255.255 area 0",
        "!",
        f"router bgp {state.autonomous_system}",
        " bgp log-neighbor-changes",
    ]
    for neighbour in state.neighbours:
        lines += [
            f" neighbor {neighbour.address} remote-as {neighbour.autonomous_system}",
            f" neighbor {neighbour.address} description {neighbour.name}",
            f" neighbor {neighbour.address} password 7 {secrets.type7('bgp')}",
        ]
    lines += ["!", "ip http secure-server", f"ip route 0.0.0.0 0.0.0.0 {state.gateway}"]
    lines += [
        f"ip route {state.static_route(index)} 255.255.255.0 {state.gateway}"
        for index in range(filler.routes)
    ]
    return [*lines, "!"]


def _filters(state: NetworkState, filler: Filler) -> list[str]:
    lines: list[str] = []
    for block in range(filler.filters):
        lines.append(f"ip access-list extended SITE-{block + 1:03d}")
        lines += [
            f" {'permit' if rule.permit else 'deny'} {rule.protocol} {rule.network} 0.0.0.255"
            f" any eq {rule.port}"
            for rule in state.access_rules(block, _RULES_PER_FILTER)
        ]
        lines.append("!")
    return lines


def _management(state: NetworkState, secrets: SecretBook) -> list[str]:
    return [
        f"logging host {state.syslog_server}",
        f"snmp-server community {secrets.clear('snmp.ro')} RO",
        f"snmp-server community {secrets.clear('snmp.rw')} RW 10",
        f"snmp-server location {state.location}",
        "snmp-server contact noc@site.example",
        f"snmp-server host {state.syslog_server} version 2c {secrets.clear('snmp.ro')}",
        "tacacs server SITE-T",
        f" address ipv4 {state.aaa_server}",
        f" key 7 {secrets.type7('tacacs')}",
        "radius server SITE-1",
        f" address ipv4 {state.aaa_server} auth-port 1812 acct-port 1813",
        f" key 7 {secrets.type7('radius')}",
        "!",
        "banner motd ^C",
        "##########################################",
        "#  Property of Site Ltd. Keep out.       #",
        "##########################################",
        "^C",
        "!",
        "line con 0",
        f" password 7 {secrets.type7('line.console')}",
        " stopbits 1",
        "line vty 0 4",
        " access-class 10 in",
        " exec-timeout 15 0",
        f" password 7 {secrets.type7('line.vty')}",
        " transport input ssh",
        "!",
        f"ntp authentication-key 1 md5 {secrets.type7('ntp')} 7",
        "ntp authenticate",
        f"ntp clock-period 1717{DRIFT}",
        *(f"ntp server {server}" for server in state.ntp_servers),
    ]
