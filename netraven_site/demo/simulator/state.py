"""The network behind a configuration: what a device would be configured to do.

The state knows no platform. `configs` turns it into the text of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.seeds import seeded

_PURPOSES = (
    "OFFICE", "VOICE", "CAMERAS", "PRINTERS", "GUESTS", "STORAGE", "LAB", "BUILDING-CONTROL",
    "WIRELESS", "SERVERS", "BACKUP", "DOORS",
)  # fmt: skip
_ROOMS = ("north", "south", "east", "west", "basement", "attic", "warehouse", "reception")
_CITIES = ("Aarhus", "Bergen", "Ghent", "Graz", "Lugano", "Porto", "Turku", "Zagreb")
_PROTOCOL_PORTS = (("tcp", 22), ("tcp", 443), ("udp", 53), ("udp", 123), ("tcp", 179), ("tcp", 25))

ROTATION = ("snmp.ro", "bgp", "radius", "user.ops", "ospf")
"""Secrets in the order in which changes rotate them; a platform skips those it does not print."""


@dataclass(slots=True)
class Vlan:
    """A VLAN, or what a platform without VLANs makes of it (a sub-interface)."""

    number: int
    name: str


@dataclass(slots=True)
class Port:
    """One physical interface, numbered from 1."""

    number: int
    description: str
    vlan: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One BGP neighbour."""

    address: str
    autonomous_system: int
    name: str


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One line of a packet filter; source is an address with a prefix length of 24."""

    permit: bool
    protocol: str
    network: str
    port: int


@dataclass(slots=True)
class NetworkState:
    """Everything a renderer needs besides the secrets."""

    hostname: str
    seed: str
    admin: str
    site: int
    host_number: int
    autonomous_system: int
    location: str
    vlans: list[Vlan] = field(default_factory=list)
    ports: list[Port] = field(default_factory=list)
    ntp_servers: list[str] = field(default_factory=list)
    neighbours: list[Neighbour] = field(default_factory=list)
    revision: int = 0

    @property
    def management_address(self) -> str:
        """The device's own address in the management network (/24)."""
        return f"10.{self.site}.0.{self.host_number}"

    @property
    def gateway(self) -> str:
        """The router of the management network."""
        return f"10.{self.site}.0.254"

    @property
    def syslog_server(self) -> str:
        """Where logs and traps go."""
        return f"10.{self.site}.1.20"

    @property
    def aaa_server(self) -> str:
        """RADIUS and TACACS+ server."""
        return f"10.{self.site}.1.30"

    def vlan_address(self, vlan: Vlan) -> str:
        """The device's address in a VLAN (/24)."""
        return f"10.{self.site}.{vlan.number % 250}.{self.host_number}"

    def access_rules(self, block: int, count: int) -> list[AccessRule]:
        """The rules of packet filter number `block`."""
        source = seeded(self.seed, self.hostname, "rules", block)
        return [
            AccessRule(
                source.random() < 0.7,
                *_first_and_network(source.choice(_PROTOCOL_PORTS), source.randrange(1 << 12)),
            )
            for _ in range(count)
        ]

    def static_route(self, index: int) -> str:
        """Destination network (without its prefix length of 24) of static route `index`."""
        return f"172.{16 + index // 250 % 16}.{index % 250}.0"


def _first_and_network(service: tuple[str, int], number: int) -> tuple[str, str, int]:
    protocol, port = service
    return protocol, f"10.{100 + number // 256}.{number % 256}.0", port


def initial_state(hostname: str, seed: str, admin: str, ports: int) -> NetworkState:
    """The state of a device as it comes from its site's plan.

    Args:
        hostname: the device's name.
        seed: the site; devices with one seed share addresses and secrets as a site does.
        admin: the user that logs in.
        ports: how many physical interfaces it has.
    """
    site = seeded(seed, "site")
    own = seeded(seed, hostname, "device")
    state = NetworkState(
        hostname=hostname,
        seed=seed,
        admin=admin,
        site=site.randrange(16, 200),
        host_number=own.randrange(2, 250),
        autonomous_system=site.randrange(64512, 65000),
        location=f"{site.choice(_CITIES)}, {own.choice(_ROOMS)} rack {own.randrange(1, 40)}",
    )
    state.vlans = [Vlan(10 * (i + 1), name) for i, name in enumerate(_PURPOSES[:8])]
    state.ports = [
        Port(n, _port_description(state, n), own.choice(state.vlans).number, own.random() < 0.9)
        for n in range(1, ports + 1)
    ]
    state.ntp_servers = [f"10.{state.site}.1.{last}" for last in (11, 12)]
    state.neighbours = [
        Neighbour(f"198.51.100.{4 * i + 1}", 64496 + i, f"{own.choice(_CITIES)}-{i + 1}")
        for i in range(3)
    ]
    return state


def _port_description(state: NetworkState, number: int) -> str:
    source = seeded(state.seed, state.hostname, "port", number, state.revision)
    purpose = source.choice(_PURPOSES).lower()
    return f"{purpose} {source.choice(_ROOMS)} socket {source.randrange(1, 400)}"


def apply_change(state: NetworkState, secrets: SecretBook) -> list[str]:
    """What an engineer does on a working day: a VLAN, a port, a time server, a new secret.

    Args:
        state: of a device that was rendered before; is altered.
        secrets: the same device's; one of those that it prints is rotated.

    Returns:
        One sentence per thing that was changed; secrets are named, not shown.
    """
    state.revision += 1
    source = seeded(state.seed, state.hostname, "change", state.revision)
    vlan = Vlan(200 + state.revision, f"{source.choice(_PURPOSES)}-{state.revision}")
    state.vlans.append(vlan)
    port = source.choice(state.ports)
    port.description = _port_description(state, port.number)
    port.vlan = vlan.number
    port.enabled = True
    server = f"10.{state.site}.1.{100 + state.revision % 100}"
    state.ntp_servers.append(server)
    if len(state.ntp_servers) > 4:
        state.ntp_servers.pop(0)
    printed = [name for name in ROTATION if name in secrets.names]
    secret = printed[(state.revision - 1) % len(printed)]
    secrets.rotate(secret)
    return [
        f"VLAN {vlan.number} ({vlan.name}) added",
        f"port {port.number} is now '{port.description}'",
        f"NTP server {server} added",
        f"secret {secret} rotated",
    ]
