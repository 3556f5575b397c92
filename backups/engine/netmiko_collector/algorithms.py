"""Which SSH algorithms may be agreed on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import paramiko
from paramiko.auth_handler import AuthOnlyHandler
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST
from paramiko.message import Message

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector.packets import BoundedPacketizer

#: What only old devices still need: SHA-1, MD5, small groups and CBC (RFC 9142, RFC 8758,
#: RFC 8332). The kinds are those of Paramiko's ``disabled_algorithms``.
OLD_ALGORITHMS: Final[Mapping[str, list[str]]] = {
    "kex": [
        "diffie-hellman-group-exchange-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group1-sha1",
    ],
    "keys": ["ssh-rsa"],
    "pubkeys": ["ssh-rsa"],
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-sha1", "hmac-sha1-96", "hmac-md5", "hmac-md5-96"],
}
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
#: Words for people, by the part of the offer (RFC 4253 section 7.1) and the kind it belongs to.
_PARTS = {
    "kex_algo_list": ("kex", "key exchange"),
    "server_key_algo_list": ("keys", "host key"),
    "client_encrypt_algo_list": ("ciphers", "cipher"),
    "server_encrypt_algo_list": ("ciphers", "cipher"),
    "client_mac_algo_list": ("macs", "MAC"),
    "server_mac_algo_list": ("macs", "MAC"),
}
_NAME = re.compile(r"[A-Za-z0-9@._+-]{1,64}\Z")
_MAX_NAMES = 6
#: How soon the end of a connection is noticed.
_POLL_SECONDS = 0.1
_UNANSWERED = (
    "the log-in was neither accepted nor refused in time; look at the AAA server that is asked"
)


class NothingInCommon(paramiko.SSHException):
    """The other side offers no algorithm of some kind that may be agreed on."""

    def __init__(self, *, offered: str, only_old: bool) -> None:
        super().__init__("nothing in common")
        #: ``"kind: names"`` of each kind without agreement, made of safe characters.
        self.offered = offered
        #: Whether allowing the old algorithms would help.
        self.only_old = only_old


class _AuthHandler(AuthOnlyHandler):
    """Waits for the answer from before the request is out, and knows the method "none".

    Paramiko's own begins to wait after it has sent the request: the answer of a fast server is
    lost now and then (measured: 1 of 50 log-ins on loopback), and ends as a time-out.
    """

    def send_auth_request(
        self, username: str, method: str, finish_message: Callable[[Message], None] | None = None
    ) -> list[str]:
        """Ask for authentication and wait. Gives the methods that are still needed."""
        self.auth_method = method
        self.username = username
        request = Message()
        request.add_byte(cMSG_USERAUTH_REQUEST)
        for text in (username, "ssh-connection", method):
            request.add_string(text)
        if finish_message is not None:
            finish_message(request)
        self.auth_event = threading.Event()
        with self.transport.lock:
            self.transport._send_message(request)  # type: ignore[attr-defined]  # not in the stubs
        give_up = time.monotonic() + self.transport.auth_timeout
        try:
            found: list[str] = self.wait_for_response(self.auth_event)
        except paramiko.AuthenticationException as error:
            if time.monotonic() < give_up:
                raise
            # A host that does not answer has refused nothing.
            raise DeviceError(ErrorCategory.READ_TIMEOUT, _UNANSWERED) from error
        return found


class Transport(paramiko.ServiceRequestingTransport):  # type: ignore[name-defined, misc]  # not in the stubs
    """Remembers what the other side offered.

    Of Paramiko's transports, the one that asks for authentication once: many servers hang up when
    they are asked anew for the next method.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._offer: Mapping[str, list[str]] = {}
        self._may_authenticate = threading.Event()
        super().__init__(*arguments, packetizer_class=BoundedPacketizer, **options)

    def ensure_session(self) -> None:
        """Ask once for leave to authenticate. Raises what ended the connection.

        Paramiko's own waits for ever, even for a server that has hung up.
        """
        if self._may_authenticate.is_set():
            return
        request = Message()
        request.add_byte(cMSG_SERVICE_REQUEST)
        request.add_string("ssh-userauth")
        self._send_message(request)
        give_up = time.monotonic() + self.auth_timeout
        while not self._may_authenticate.wait(_POLL_SECONDS):
            if not self.is_active():
                raise self.get_exception() or EOFError()
            if time.monotonic() > give_up:
                raise TimeoutError
        self.auth_handler = self.get_auth_handler()

    def get_auth_handler(self) -> AuthOnlyHandler:
        """See Paramiko."""
        return _AuthHandler(self)

    def _parse_service_accept(self, m: Message) -> None:
        super()._parse_service_accept(m)
        if self._service_userauth_accepted:
            self._may_authenticate.set()

    def _really_parse_kex_init(self, m: Message, ignore_first_byte: bool = False) -> Any:
        self._offer = super()._really_parse_kex_init(m, ignore_first_byte)
        return self._offer

    def _parse_kex_init(self, m: Message) -> None:
        try:
            super()._parse_kex_init(m)
        except paramiko.ssh_exception.IncompatiblePeer as error:
            raise self._nothing_in_common() from error

    def _nothing_in_common(self) -> NothingInCommon:
        refused: dict[str, list[str]] = {}
        only_old = True
        for part, (kind, words) in _PARTS.items():
            names = self._offer.get(part, [])
            if not set(names) & set(getattr(self, f"preferred_{kind}")):
                refused[words] = names
                only_old &= bool(set(names) & set(OLD_ALGORITHMS[kind]) & self._switched_off(kind))
        offered = "; ".join(f"{words}: {_listed(names)}" for words, names in refused.items())
        return NothingInCommon(offered=offered, only_old=only_old and bool(refused))

    def _switched_off(self, kind: str) -> set[str]:
        return set((self.disabled_algorithms or {}).get(kind, ()))


def algorithm_arguments(*, old_allowed: bool, known_host_key: str | None) -> dict[str, Any]:
    """Arguments of ``SSHClient.connect`` that bound what is agreed on."""
    return {
        "disabled_algorithms": {} if old_allowed else dict(OLD_ALGORITHMS),
        "transport_factory": _factory(known_host_key),
    }


def _factory(known_host_key: str | None) -> Callable[..., Transport]:
    def transport(sock: Any, **options: Any) -> Transport:
        made = Transport(sock, **options)
        if known_host_key is not None:
            # A host with several keys shall show the known one.
            security = made.get_security_options()
            names = security.key_types
            first = [name for name in _signatures(known_host_key) if name in names]
            security.key_types = (*first, *(name for name in names if name not in first))
        return made

    return transport


def _signatures(host_key: str) -> tuple[str, ...]:
    kind, _, _ = host_key.partition(" ")
    return _RSA_SIGNATURES if kind == "ssh-rsa" else (kind,)


def _listed(names: Iterable[str]) -> str:
    """The first of ``names``; what the other side sent may be anything."""
    safe = [name for name in names if _NAME.match(name)]
    more = ", …" if len(safe) > _MAX_NAMES else ""
    return ", ".join(safe[:_MAX_NAMES]) + more or "nothing"
