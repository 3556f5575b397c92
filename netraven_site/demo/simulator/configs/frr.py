"""`show running-config` of FRRouting in its `vtysh` shell."""

from __future__ import annotations

from netraven_site.demo.simulator.configs.layout import MAIN, Filler, Views
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

_PREFIXES_PER_LIST = 40


def render(state: NetworkState, secrets: SecretBook, filler: Filler) -> Views:
    """Render; no time is printed, the last line is `end`."""
    intro = ["Building configuration...", "", "Current configuration:"]
    lines = [*intro, "!", *daemon_lines(state, secrets, filler), "end"]
    return {MAIN: lines, "startup": lines[3:]}


def daemon_lines(state: NetworkState, secrets: SecretBook, filler: Filler) -> list[str]:
    """The configuration without the lines that `vtysh` puts around it."""
    lines = [
        "frr version 8.5.4",
        "frr defaults traditional",
        f"hostname {state.hostname}",
        f"log syslog {state.syslog_server}",
        f"password {secrets.clear('line.vty')}",
        f"enable password {secrets.clear('enable')}",
        "service integrated-vtysh-config",
        "!",
        "key chain SITE-OSPF",
        " key 1",
        f"  key-string {secrets.clear('keychain')}",
        " exit",
        "exit",
        "!",
        f"ip route 0.0.0.0/0 {state.gateway}",
        *(f"ip route {server}/32 {state.gateway}" for server in state.ntp_servers),
    ]
    lines += [f"ip route {state.static_route(i)}/24 blackhole" for i in range(filler.routes)]
    return [
        *lines,
        "!",
        *_interfaces(state, secrets),
        *_bgp(state, secrets),
        *_prefix_lists(filler),
    ]


def _interfaces(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines: list[str] = []
    for port in state.ports:
        lines += [f"interface eth{port.number - 1}", f" description {port.description}"]
        if port.number == 1:
            lines += [
                f" ip address {state.management_address}/24",
                f" ip ospf message-digest-key 1 md5 {secrets.clear('ospf')}",
            ]
        if not port.enabled:
            lines.append(" shutdown")
        lines += ["exit", "!"]
    for vlan in state.vlans:
        lines += [
            f"interface eth0.{vlan.number}",
            f" description {vlan.name}",
            f" ip address {state.vlan_address(vlan)}/24",
            "exit",
            "!",
        ]
    return lines


def _bgp(state: NetworkState, secrets: SecretBook) -> list[str]:
    lines = [f"router bgp {state.autonomous_system}", f" bgp router-id {state.management_address}"]
    for neighbour in state.neighbours:
        lines += [
            f" neighbor {neighbour.address} remote-as {neighbour.autonomous_system}",
            f" neighbor {neighbour.address} description {neighbour.name}",
            f" neighbor {neighbour.address} password {secrets.clear('bgp')}",
        ]
    return [*lines, "exit", "!"]


def _prefix_lists(filler: Filler) -> list[str]:
    lines: list[str] = []
    for block in range(filler.filters):
        lines += [
            f"ip prefix-list SITE-{block + 1:03d} seq {5 * number} permit"
            f" 10.{(100 + block) % 256}.{number}.0/24"
            for number in range(1, _PREFIXES_PER_LIST + 1)
        ]
        lines.append("!")
    return lines
