"""Routers as NetRaven meets them: real FRRouting behind real OpenSSH, vtysh as login shell."""

from __future__ import annotations

import secrets
import string
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import frr, openssh
from tests.support.frr import Frr
from tests.support.openssh import KeyPair, Sshd, login_account

_COMMAND = "show running-config"
_CUSTOMERS = 1500


def missing() -> str | None:
    """Why the lab cannot be built on this machine; None when it can."""
    return frr.missing() or openssh.missing()


def canary(label: str) -> str:
    """A secret that stands nowhere by chance."""
    return f"{label}-{secrets.token_hex(6)}"


def short_canary() -> str:
    """One of eight characters, as OSPF has no room for more; hex digests have no such letters."""
    letters = "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ" + string.digits
    return "Q" + "".join(secrets.choice(letters) for _ in range(7))


@dataclass(kw_only=True)
class Login:
    """How NetRaven logs in to one router."""

    #: Login accounts are this machine's, so no two runs of the tests may share a name.
    account: str = field(default_factory=lambda: f"nrtest-{secrets.token_hex(4)}")
    password: str | None = None
    key: KeyPair | None = None
    passphrase: str | None = None

    def secrets(self) -> set[str]:
        """What of it nobody may see. Of the private key, one line stands for all."""
        key_line = {self.key.private.splitlines()[3]} if self.key else set()
        return {value for value in (self.password, self.passphrase) if value} | key_line


@dataclass(kw_only=True)
class Router:
    """One router and the way to it."""

    frr: Frr
    sshd: Sshd
    login: Login
    #: Secrets that were put into its configuration.
    configured: set[str] = field(default_factory=set)
    _own_key: Path

    @property
    def hostname(self) -> str:
        return self.frr.name

    def printed_config(self) -> bytes:
        """What ``show running-config`` prints on a terminal, read without NetRaven's help."""
        return self.sshd.ask(_COMMAND, key_file=self._own_key)

    def hashes(self) -> set[str]:
        """The passwords that the router prints as hashes (``service password-encryption``)."""
        lines = self.frr.running_config().splitlines()
        return {line.split()[-1] for line in lines if "password 8 " in line}

    def secrets(self) -> set[str]:
        return self.configured | self.hashes() | self.login.secrets()


@dataclass(frozen=True, kw_only=True)
class Lab:
    """Three routers: two that ask for a password, and one that lets in an encrypted key."""

    edge: Router
    branch: Router
    core: Router

    @property
    def routers(self) -> tuple[Router, ...]:
        return (self.edge, self.branch, self.core)

    def secrets(self) -> set[str]:
        return {secret for router in self.routers for secret in router.secrets()}


@contextmanager
def running_lab() -> Iterator[Lab]:
    """Build the lab, and take everything of it away again."""
    with ExitStack() as resources:
        directory = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="nr-frr-")))
        directory.chmod(0o711)  # the login accounts have to reach their shells
        resources.enter_context(openssh.separation_directory())
        passphrase = canary("Passphrase")
        logins = {
            "edge1": Login(password=canary("Login")),
            "branch1": Login(password=canary("Login")),
            "core1": Login(key=KeyPair(passphrase), passphrase=passphrase),
        }
        edge, branch, core = (
            resources.enter_context(_running_router(directory / name, login))
            for name, login in logins.items()
        )
        lab = Lab(edge=edge, branch=branch, core=core)
        _configure(lab)
        yield lab


@contextmanager
def _running_router(directory: Path, login: Login) -> Iterator[Router]:
    directory.mkdir(mode=0o755)
    daemons = Frr(directory.name, directory)
    shell = _login_shell(directory / "shell", daemons)
    own_key = KeyPair()
    with ExitStack() as resources:
        resources.enter_context(daemons.running())
        resources.enter_context(
            login_account(login.account, shell=shell, group=frr.GROUP, password=login.password)
        )
        sshd = Sshd(
            directory / "ssh",
            account=login.account,
            keys=[pair for pair in (own_key, login.key) if pair],
            password=login.password is not None,
        )
        resources.callback(sshd.stop)
        sshd.start()
        own_key_file = own_key.write(directory / "ssh" / "own_key")
        yield Router(frr=daemons, sshd=sshd, login=login, _own_key=own_key_file)


def _login_shell(path: Path, daemons: Frr) -> Path:
    path.write_text(f'#!/bin/sh\nexec {" ".join(daemons.vtysh)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def _configure(lab: Lab) -> None:
    between = canary("Bgp")
    _configure_edge(lab.edge, between)
    _configure_branch(lab.branch)
    _configure_core(lab.core, between)


def _configure_edge(router: Router, bgp: str) -> None:
    vty, enable, chain, md5 = (canary(label) for label in ("Vty", "Enable", "Chain", "Md5"))
    simple = short_canary()
    router.frr.configure(
        f"password {vty}",
        f"enable password {enable}",
        *("key chain CORE", " key 1", f"  key-string {chain}", " exit", "exit"),
        *("interface lo", " ip address 10.255.0.1/32", "exit"),
        "interface wan0",
        " description uplink, password is in the vault",
        " ip ospf authentication message-digest",
        f" ip ospf message-digest-key 1 md5 {md5[:16]}",
        "exit",
        *("interface lan0", f" ip ospf authentication-key {simple}", "exit"),
        *("router bgp 65001", " neighbor 192.0.2.3 remote-as 65001"),
        *(f" neighbor 192.0.2.3 password {bgp}", "exit"),
        *("router ospf", " network 10.0.0.0/8 area 0", "exit"),
    )
    router.configured |= {vty, enable, chain, md5[:16], simple, bgp}


def _configure_branch(router: Router) -> None:
    """Passwords as hashes; the clear ones stand nowhere in what it prints."""
    rip = canary("Rip")[:16]
    router.frr.configure(
        "service password-encryption",
        f"password {canary('Vty')}",
        f"enable password {canary('Enable')}",
        *("interface lan0", " ip rip authentication mode text"),
        *(f" ip rip authentication string {rip}", "exit"),
        *("router rip", " network lan0", "exit"),
    )
    router.configured |= {rip}


def _configure_core(router: Router, bgp: str) -> None:
    """Long enough to arrive in many pieces."""
    link = canary("Link")[:16]
    router.frr.configure(
        *(
            f"bgp community-list standard CUSTOMER-{number} seq 5 permit 65001:{number}"
            for number in range(1, _CUSTOMERS + 1)
        ),
        *("router bgp 65001", " neighbor 192.0.2.1 remote-as 65001"),
        *(f" neighbor 192.0.2.1 password {bgp}", "exit"),
        *("router ospf", f" area 1 virtual-link 10.255.0.9 message-digest-key 1 md5 {link}"),
        "exit",
    )
    router.configured |= {link, bgp}
