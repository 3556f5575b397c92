"""Log-in, algorithms and host keys over SSH, against real servers."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import asyncssh
import paramiko
import pytest

from backups.engine.errors import DeviceError, ErrorCategory, HostKeyRefused
from backups.engine.types import HostKeyMode
from inventory.host_keys import fingerprint
from tests.support.reading import LIMITS, credential, device, failure, nothing_left, read
from tests.support.ssh_host import ADDRESS, PASSWORD, SshHost, SshHosts

KEY_KINDS: dict[str, dict[str, Any]] = {
    "ssh-rsa": {"key_size": 2048},
    "ecdsa-sha2-nistp256": {},
    "ecdsa-sha2-nistp521": {},
    "ssh-ed25519": {},
}
#: What a router of 2008 offers.
OLD = {
    "kex_algs": ["diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1"],
    "encryption_algs": ["aes128-cbc", "3des-cbc"],
    "mac_algs": ["hmac-sha1", "hmac-md5"],
    "signature_algs": ["ssh-rsa"],
}


@pytest.fixture
def hosts() -> Iterator[SshHosts]:
    with SshHosts() as running:
        yield running


def key_pair(kind: str, passphrase: str | None = None, form: str = "openssh") -> tuple[str, str]:
    """Private and public half."""
    # Paramiko 4 cannot read half of the keys of one kind without a comment.
    key = asyncssh.generate_private_key(kind, comment="lab", **KEY_KINDS[kind])
    private = key.export_private_key(form, passphrase=passphrase)
    return private.decode(), key.export_public_key().decode()


def test_password(hosts: SshHosts) -> None:
    host = hosts.start(SshHost())
    with nothing_left():
        collection = read(device(host.port))
    assert collection.host_key == host.known_host_key
    assert b"hostname" in collection.outputs[0].payload


def test_keyboard_interactive_only(hosts: SshHosts) -> None:
    host = hosts.start(SshHost(methods=["keyboard-interactive"]))
    assert b"hostname" in read(device(host.port)).outputs[0].payload
    error = failure(device(host.port), credential(password="not-it"))
    assert error.category is ErrorCategory.AUTHENTICATION


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
@pytest.mark.parametrize("passphrase", [None, "Open-1-sesame"])
@pytest.mark.parametrize("kind", KEY_KINDS)
def test_key(hosts: SshHosts, kind: str, passphrase: str | None, form: str) -> None:
    private, public = key_pair(kind, passphrase, form)
    host = hosts.start(SshHost(methods=["publickey"], keys=[public]))
    login = credential(password=None, ssh_key=private, ssh_key_passphrase=passphrase)
    assert b"hostname" in read(device(host.port), login).outputs[0].payload


def test_wrong_passphrase_is_said_before_anything_is_sent(hosts: SshHosts) -> None:
    private, public = key_pair("ssh-ed25519", "right")
    host = hosts.start(SshHost(methods=["publickey"], keys=[public]))
    login = credential(ssh_key=private, ssh_key_passphrase="wrong")
    error = failure(device(host.port), login)
    assert error.category is ErrorCategory.CREDENTIAL_FAILURE
    assert "passphrase" in error.message
    assert host.attempts == []


def test_key_goes_before_password(hosts: SshHosts) -> None:
    private, public = key_pair("ssh-ed25519")
    methods = ["publickey", "password"]
    known = hosts.start(SshHost(methods=methods, keys=[public]))
    read(device(known.port), credential(ssh_key=private))
    assert "password" not in known.attempts
    unknown = hosts.start(SshHost(methods=methods))
    read(device(unknown.port), credential(ssh_key=private))
    assert unknown.attempts.index("publickey") < unknown.attempts.index("password")


def test_no_password_is_tried_where_there_is_none(hosts: SshHosts) -> None:
    private, _ = key_pair("ssh-ed25519")
    host = hosts.start(SshHost(methods=["publickey", "password"]))
    error = failure(device(host.port), credential(password=None, ssh_key=private))
    assert error.category is ErrorCategory.AUTHENTICATION
    assert "password" not in host.attempts


#: asyncssh says so of every group exchange.
old_groups = pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")


def old_host(**fields: Any) -> SshHost:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    return SshHost(host_key=key, algorithms=OLD, **fields)


def test_old_algorithms_are_refused_and_named(hosts: SshHosts) -> None:
    host = hosts.start(old_host())
    error = failure(device(host.port))
    assert error.category is ErrorCategory.SSH_NEGOTIATION
    assert "legacy_algorithms" in error.message
    for offered in ("diffie-hellman-group1-sha1", "3des-cbc", "hmac-md5"):
        assert offered in error.message
    assert host.attempts == []


@old_groups
def test_old_algorithms_are_agreed_on_where_they_are_allowed(hosts: SshHosts) -> None:
    private, public = key_pair("ssh-rsa")
    host = hosts.start(old_host(methods=["publickey"], keys=[public]))
    login = credential(password=None, ssh_key=private)
    collection = read(device(host.port, legacy_algorithms=True), login)
    assert collection.host_key == host.known_host_key


@pytest.mark.parametrize(
    ("part", "algorithm", "kind"),
    [
        ("kex_algs", "diffie-hellman-group-exchange-sha1", "key exchange"),
        ("encryption_algs", "aes256-cbc", "cipher"),
        ("mac_algs", "hmac-sha1", "MAC"),
    ],
)
def test_each_kind_of_old_algorithm_is_refused(
    hosts: SshHosts, part: str, algorithm: str, kind: str
) -> None:
    host = hosts.start(SshHost(algorithms={part: [algorithm]}))
    error = failure(device(host.port))
    assert f"offers only old algorithms ({kind}: {algorithm})" in error.message


def test_what_nobody_knows_is_not_called_old(hosts: SshHosts) -> None:
    host = hosts.start(SshHost(algorithms={"encryption_algs": ["chacha20-poly1305@openssh.com"]}))
    error = failure(device(host.port))
    assert error.category is ErrorCategory.SSH_NEGOTIATION
    assert "chacha20-poly1305@openssh.com" in error.message
    assert "legacy_algorithms" not in error.message


def refused(target_error: DeviceError) -> HostKeyRefused:
    assert isinstance(target_error, HostKeyRefused)
    assert target_error.category is ErrorCategory.HOST_KEY
    return target_error


@pytest.mark.parametrize("mode", [HostKeyMode.STRICT, HostKeyMode.TOFU])
def test_changed_key_stops_before_any_log_in(hosts: SshHosts, mode: HostKeyMode) -> None:
    host, other = hosts.start(SshHost()), SshHost()
    target = device(host.port, host_key=other.known_host_key, host_key_mode=mode)
    with nothing_left():
        error = refused(failure(target))
    assert fingerprint(host.known_host_key) in error.message
    assert fingerprint(other.known_host_key) in error.message
    assert (error.shown, error.jump_host) == (host.known_host_key, None)
    assert host.attempts == []


def test_fingerprint_is_the_one_that_openssh_prints() -> None:
    host = SshHost()
    kind, digest = fingerprint(host.known_host_key).split()
    assert (kind, digest) == ("ssh-ed25519", host.host_key.get_fingerprint())


def test_known_key_is_accepted_in_each_mode(hosts: SshHosts) -> None:
    host = hosts.start(SshHost())
    for mode in HostKeyMode:
        target = device(host.port, host_key=host.known_host_key, host_key_mode=mode)
        kept = read(target).host_key
        assert kept == (None if mode is HostKeyMode.OFF else host.known_host_key)


def test_first_key_is_refused_where_the_zone_is_strict(hosts: SshHosts) -> None:
    host = hosts.start(SshHost())
    error = refused(failure(device(host.port, host_key_mode=HostKeyMode.STRICT)))
    assert fingerprint(host.known_host_key) in error.message
    assert error.shown == host.known_host_key
    assert host.attempts == []


def test_any_key_is_accepted_where_nothing_is_checked(hosts: SshHosts) -> None:
    host = hosts.start(SshHost())
    target = device(host.port, host_key=SshHost().known_host_key, host_key_mode=HostKeyMode.OFF)
    assert b"hostname" in read(target).outputs[0].payload


def test_known_rsa_key_is_asked_for_among_several(hosts: SshHosts) -> None:
    """A host that got a second key since is still the same host."""
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    newer = asyncssh.generate_private_key("ssh-ed25519")
    host = hosts.start(SshHost(host_key=rsa, more_host_keys=[newer]))
    known = device(host.port, host_key=host.known_host_key)
    assert read(known).host_key == host.known_host_key
    first = read(device(host.port)).host_key
    assert first is not None
    assert first.startswith("ssh-ed25519 ")


def test_wrong_password(hosts: SshHosts) -> None:
    host = hosts.start(SshHost())
    error = failure(device(host.port), credential(password=PASSWORD + "x"))
    assert error.category is ErrorCategory.AUTHENTICATION
    assert "refused the log-in" in error.message


class Unwilling(paramiko.Transport):
    """A server that agrees on keys and then lets nobody ask to be let in."""

    hangs_up = False

    def _parse_newkeys(self, m: paramiko.Message) -> None:
        super()._parse_newkeys(m)  # type: ignore[misc]  # not in the stubs
        self.auth_handler = None
        if self.hangs_up:
            self.close()


class HangsUp(Unwilling):
    hangs_up = True


@pytest.mark.parametrize("kind", [Unwilling, HangsUp])
def test_log_in_that_is_never_granted_ends(kind: type[Unwilling]) -> None:
    """Paramiko's own waiting has no end."""
    quick = dataclasses.replace(LIMITS, login_timeout=1, deadline=30)
    with socket.create_server((ADDRESS, 0)) as listener:

        def serve() -> None:
            server = kind(listener.accept()[0])
            server.add_server_key(paramiko.RSAKey.generate(2048))
            server.start_server(event=threading.Event())
            server.join(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            started = time.monotonic()
            error = failure(device(listener.getsockname()[1]), limits=quick)
            assert time.monotonic() - started < 5
        finally:
            thread.join(20)
    assert error.category in {ErrorCategory.SSH_NEGOTIATION, ErrorCategory.SESSION_DROPPED}
