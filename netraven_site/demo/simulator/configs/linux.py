"""Files and command outputs of a Linux router."""

from __future__ import annotations

from netraven_site.demo.simulator.configs.frr import daemon_lines
from netraven_site.demo.simulator.configs.layout import DRIFT, MAIN, Filler, Views
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

_RULES = 20


def render(state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
    """Render; views are named by path or by command, `MAIN` is all files in their order."""
    files = {
        "/etc/hostname": [state.hostname],
        "/etc/hosts": ["127.0.0.1 localhost", f"{state.management_address} {state.hostname}"],
        "/etc/resolv.conf": ["search site.example", f"nameserver {state.aaa_server}"],
        "/etc/network/interfaces": _network(state, secrets),
        "/etc/sysctl.d/90-router.conf": ["net.ipv4.ip_forward = 1"],
        "/etc/frr/frr.conf": ["! zebra and bgpd", *daemon_lines(state, secrets, filler)],
        "/etc/nftables.conf": _packet_filter(state),
        "/etc/snmp/snmpd.conf": _snmp(state, secrets),
        "/etc/wireguard/wg0.conf": _wireguard(state, secrets),
        "/etc/pam_radius_auth.conf": [f"{state.aaa_server}:1812 {secrets.clear('radius')} 3"],
        "/etc/tacplus_servers": [f"secret={secrets.clear('tacacs')}", f"server={state.aaa_server}"],
        "/etc/shadow": _shadow(state, secrets),
        "/etc/ntpsec/ntp.conf": [f"server {server} iburst" for server in state.ntp_servers],
    }
    whole = [line for lines in files.values() for line in lines]
    return {MAIN: whole, **files, **_commands(state, files)}


def _network(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines = ["auto lo", "iface lo inet loopback", ""]
    for port in state.ports:
        name = f"eth{port.number - 1}"
        lines += [f"# {port.description}", f"auto {name}", f"iface {name} inet manual", ""]
    lines += [
        "iface wlan0 inet dhcp",
        "    wpa-ssid site",
        f"    wpa-psk {secrets.hexadecimal('wifi', 64)}",
        "",
    ]
    for vlan in state.vlans:
        lines += [
            f"# {vlan.name}",
            f"auto eth0.{vlan.number}",
            f"iface eth0.{vlan.number} inet static",
            f"    address {state.vlan_address(vlan)}/24",
            "",
        ]
    return lines


def _packet_filter(state: NetworkState) -> list[str]:
    rules = [
        f"\t\tip saddr {rule.network}/24 {rule.protocol} dport {rule.port}"
        f" {'accept' if rule.permit else 'drop'}"
        for rule in state.access_rules(0, _RULES)
    ]
    head = ["#!/usr/sbin/nft -f", "flush ruleset", "table inet filter {", "\tchain input {"]
    return [*head, "\t\tct state established,related accept", *rules, "\t}", "}"]


def _snmp(state: NetworkState, secrets: SecretBook) -> list[str]:
    return [
        f"agentAddress udp:{state.management_address}:161",
        f"rocommunity {secrets.clear('snmp.ro')} 10.{state.site}.0.0/16",
        f"rwcommunity {secrets.clear('snmp.rw')} 10.{state.site}.1.0/24",
        f"sysLocation {state.location}",
        "sysContact noc@site.example",
    ]


def _wireguard(state: NetworkState, secrets: SecretBook) -> list[str]:
    return [
        "[Interface]",
        f"Address = 10.254.{state.site}.1/30",
        f"PrivateKey = {secrets.base64_key('wireguard')}",
        "[Peer]",
        f"PresharedKey = {secrets.base64_key('wireguard.psk')}",
        "AllowedIPs = 10.254.0.0/16",
    ]


def _shadow(state: NetworkState, secrets: SecretBook) -> list[str]:
    return [
        f"root:{secrets.sha512_crypt('enable')}:19800:0:99999:7:::",
        f"{state.admin}:{secrets.sha512_crypt('user.admin')}:19800:0:99999:7:::",
        f"ops:{secrets.sha512_crypt('user.ops')}:19800:0:99999:7:::",
    ]


def _commands(state: NetworkState, files: Views) -> dict[str, list[str]]:
    routes = [f"default via {state.gateway} dev eth0 proto static"]
    routes += [
        f"10.{state.site}.{vlan.number % 250}.0/24 dev eth0.{vlan.number} proto kernel scope link"
        for vlan in state.vlans
    ]
    learned = f"default via fe80::1 dev eth0 proto ra metric 1024 expires {DRIFT}sec pref medium"
    return {
        "ip route": routes,
        "ip -6 route": ["::1 dev lo proto kernel metric 256 pref medium", learned],
        "ip rule": [
            "0:\tfrom all lookup local",
            "32766:\tfrom all lookup main",
            "32767:\tfrom all lookup default",
        ],
        "ip addr": _addresses(state),
        "ip -d link": _links(state),
        "nft list ruleset": files["/etc/nftables.conf"][2:],
        "uname -a": [f"Linux {state.hostname} 6.1.0-18-amd64 #1 SMP Debian 6.1.76-1 x86_64"],
        "hostname": [state.hostname],
        "show running-config": files["/etc/frr/frr.conf"],
    }


def _addresses(state: NetworkState) -> list[str]:
    lines = [
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN",
        "    inet 127.0.0.1/8 scope host lo",
    ]
    for number, vlan in enumerate(state.vlans, 2):
        lines += [
            f"{number}: eth0.{vlan.number}@eth0: <BROADCAST,MULTICAST,UP> mtu 1500 state UP",
            f"    inet {state.vlan_address(vlan)}/24 scope global eth0.{vlan.number}",
        ]
    return lines


def _links(state: NetworkState) -> list[str]:
    return [
        f"{port.number + 1}: eth{port.number - 1}: <BROADCAST,MULTICAST>"
        f" mtu 1500 qdisc mq state {'UP' if port.enabled else 'DOWN'}"
        for port in state.ports
    ]
