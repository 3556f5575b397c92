"""`show running-config` of Cisco NX-OS."""

from __future__ import annotations

from netraven_site.demo.simulator.configs.layout import CLOCK, MAIN, Filler, Views
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

_RULES_PER_FILTER = 40


def render(state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
    """Render; the first lines name command and time, there is no end marker."""
    body = [
        *_users(state, secrets),
        *_management(state, secrets),
        *_filters(state, filler),
        *_vlans(state, filler),
        *_interfaces(state, secrets),
        *_routing(state, secrets),
    ]
    done = f"!Running configuration last done at: {CLOCK}"
    running = ["", "!Command: show running-config", done, f"!Time: {CLOCK}", "", *body]
    startup = ["", "!Command: show startup-config", f"!Time: {CLOCK}", "", *body]
    return {MAIN: running, "startup": startup}


def _users(state: NetworkState, secrets: SecretBook) -> list[str]:
    admin, ops = secrets.sha256_crypt("user.admin"), secrets.sha256_crypt("user.ops")
    auth, privacy = secrets.hexadecimal("snmp.auth", 32), secrets.hexadecimal("snmp.priv", 32)
    return [
        "version 9.3(8) Bios:version 07.69",
        f"hostname {state.hostname}",
        "vdc " + state.hostname + " id 1",
        "  limit-resource vlan minimum 16 maximum 4094",
        "  limit-resource vrf minimum 2 maximum 4096",
        "",
        "feature tacacs+",
        "cfs eth distribute",
        "feature ospf",
        "feature bgp",
        "feature interface-vlan",
        "feature hsrp",
        "feature lldp",
        "",
        f"username {state.admin} password 5 {admin}  role network-admin",
        f"username ops password 5 {ops}  role network-operator",
        "ip domain-lookup",
        f"snmp-server user {state.admin} network-admin auth md5 0x{auth} priv 0x{privacy}"
        " localizedkey",
        "rmon event 1 description FATAL(1) owner PMON@FATAL",
    ]


def _management(state: NetworkState, secrets: SecretBook) -> list[str]:
    return [
        f'tacacs-server key 7 "{secrets.type7("tacacs")}"',
        f"tacacs-server host {state.aaa_server}",
        "aaa group server tacacs+ SITE",
        f"    server {state.aaa_server}",
        f'radius-server host {state.aaa_server} key 7 "{secrets.type7("radius")}" authentication'
        " accounting",
        f"snmp-server contact noc@site.example, {state.location}",
        f"snmp-server host {state.syslog_server} traps version 2c {secrets.clear('snmp.ro')}",
        f"snmp-server community {secrets.clear('snmp.ro')} group network-operator",
        f"snmp-server community {secrets.clear('snmp.rw')} group network-admin",
        f"ntp authentication-key 1 md5 {secrets.type7('ntp')} 7",
        *(f"ntp server {server} use-vrf management" for server in state.ntp_servers),
        f"logging server {state.syslog_server} 5 use-vrf management",
        "banner motd #",
        "Property of Site Ltd. Keep out.",
        "#",
        "",
    ]


def _filters(state: NetworkState, filler: Filler) -> list[str]:
    lines: list[str] = []
    for block in range(filler.filters):
        lines.append(f"ip access-list SITE-{block + 1:03d}")
        lines += [
            f"  {10 * number} {'permit' if rule.permit else 'deny'} {rule.protocol}"
            f" {rule.network}/24 any eq {rule.port} "
            for number, rule in enumerate(state.access_rules(block, _RULES_PER_FILTER), 1)
        ]
    return lines


def _vlans(state: NetworkState, filler: Filler) -> list[str]:
    lines = [
        f"ip route {state.static_route(index)}/24 {state.gateway}" for index in range(filler.routes)
    ]
    lines.append("vlan 1," + ",".join(str(vlan.number) for vlan in state.vlans))
    for vlan in state.vlans:
        lines += [f"vlan {vlan.number}", f"  name {vlan.name}"]
    return [
        *lines,
        "",
        "key chain SITE-OSPF",
        "  key 1",
        "vrf context management",
        f"  ip route 0.0.0.0/0 {state.gateway}",
        "",
    ]


def _interfaces(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines: list[str] = []
    for vlan in state.vlans:
        lines += [
            f"interface Vlan{vlan.number}",
            f"  description {vlan.name.lower()}",
            "  no shutdown",
            f"  ip address {state.vlan_address(vlan)}/24",
        ]
        if vlan.number == 10:
            lines += [
                f"  ip ospf authentication-key 7 {secrets.type7('ospf')}",
                "  hsrp 10 ",
                f"    authentication md5 key-string {secrets.clear('hsrp')}",
                f"    ip 10.{state.site}.10.1",
            ]
        lines.append("")
    for port in state.ports:
        lines += [
            f"interface Ethernet1/{port.number}",
            f"  description {port.description}",
            f"  switchport access vlan {port.vlan}",
            "  no shutdown" if port.enabled else "  shutdown",
            "",
        ]
    return [
        *lines,
        "interface mgmt0",
        "  vrf member management",
        f"  ip address {state.management_address}/24",
        "line console",
        "line vty",
        "  exec-timeout 15",
        "boot nxos bootflash:/nxos.9.3.8.bin",
    ]


def _routing(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines = ["router ospf 1", f"router bgp {state.autonomous_system}"]
    lines += ["  address-family ipv4 unicast"]
    for neighbour in state.neighbours:
        lines += [
            f"  neighbor {neighbour.address}",
            f"    remote-as {neighbour.autonomous_system}",
            f"    description {neighbour.name}",
            f"    password 7 {secrets.type7('bgp')}",
            "    address-family ipv4 unicast",
        ]
    return [*lines, "", ""]
