"""Sessions with real OpenSSH servers: log-in, old algorithms, forwarding, impostors."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backups.engine.errors import ErrorCategory, HostKeyRefused
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.types import Collection, DeviceTarget, JumpTarget
from credentials.secret import DeviceCredential
from inventory.host_keys import fingerprint
from inventory.platforms import PlatformDefinition, get_platform
from inventory.platforms.definition import Command, Role
from tests.support import openssh
from tests.support.openssh import ADDRESS, KeyKind, KeyPair, Sshd, login_account
from tests.support.reading import LIMITS, device, failure, nothing_left

PASSWORD = f"Login-{secrets.token_hex(6)}"
PASSPHRASE = "Open-1-sesame"

Start = Callable[..., Sshd]


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    reason = openssh.missing()
    if reason is not None:
        pytest.skip(reason)
    name = f"nrtest-{secrets.token_hex(4)}"
    with (
        openssh.separation_directory(),
        login_account(name, shell=Path("/bin/bash"), group="users", password=PASSWORD),
    ):
        yield name


@pytest.fixture
def start(account: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a server that lets the account in."""
    with ExitStack() as running:

        def start_one(*options: str, keys: tuple[KeyPair, ...] = (), password: bool = True) -> Sshd:
            directory = tmp_path / secrets.token_hex(4)
            # The account reads its authorized_keys through the directories above it.
            for above in (tmp_path, *tmp_path.parents):
                if above.owner() == "root" and above != Path("/"):
                    above.chmod(above.stat().st_mode | 0o011)
            sshd = Sshd(directory, account=account, keys=keys, password=password, options=options)
            directory.chmod(0o755)
            running.callback(sshd.stop)
            sshd.start()
            return sshd

        yield start_one


def linux() -> PlatformDefinition:
    """A host that answers one command."""
    command = Command(command="cat /etc/os-release", role=Role.RUNNING)
    return dataclasses.replace(get_platform("linux"), commands=(command,))


def login(account: str, **fields: str | None) -> DeviceCredential:
    values: dict[str, str | None] = {"password": PASSWORD}
    return DeviceCredential(name="lab", username=account, **(values | fields))


def target(sshd: Sshd, **fields: object) -> DeviceTarget:
    return device(sshd.port, **({"platform": "linux"} | fields))


def read(aim: DeviceTarget, credential: DeviceCredential) -> Collection:
    collection = NetmikoCollector().collect(aim, credential, linux(), LIMITS)
    assert b"PRETTY_NAME" in collection.outputs[0].payload
    return collection


def test_password(start: Start, account: str) -> None:
    sshd = start()
    with nothing_left():
        collection = read(target(sshd), login(account))
    assert collection.host_key == " ".join(sshd.host_key.public.split()[:2])


def test_keyboard_interactive_only(start: Start, account: str) -> None:
    """PAM asks, as it does on hosts with one-time passwords and on many appliances."""
    sshd = start("UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes")
    read(target(sshd), login(account))
    assert "keyboard-interactive/pam" in sshd.log()
    error = failure(target(sshd), login(account, password="not-it"))
    assert error.category is ErrorCategory.AUTHENTICATION


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
@pytest.mark.parametrize("kind", KeyKind)
def test_key(start: Start, account: str, kind: KeyKind, passphrase: str | None) -> None:
    pair = KeyPair(passphrase, kind)
    sshd = start(keys=(pair,), password=False)
    credential = login(account, password=None, ssh_key=pair.private, ssh_key_passphrase=passphrase)
    read(target(sshd), credential)


def test_password_after_a_key_that_is_not_let_in(start: Start, account: str) -> None:
    sshd = start()
    read(target(sshd), login(account, ssh_key=KeyPair().private))
    log = sshd.log()
    assert log.index("Failed publickey") < log.index("Accepted password")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("KexAlgorithms diffie-hellman-group14-sha1", "key exchange: diffie-hellman-group14-sha1"),
        ("HostKeyAlgorithms ssh-rsa", "host key: ssh-rsa"),
        ("Ciphers aes256-cbc,3des-cbc", "cipher: aes256-cbc, 3des-cbc"),
        ("MACs hmac-sha1", "MAC: hmac-sha1"),
    ],
)
def test_old_algorithms(start: Start, account: str, option: str, words: str) -> None:
    sshd = start(option)
    sshd.stop()
    sshd.use_host_key(KeyPair(kind=KeyKind.RSA))
    sshd.start()
    error = failure(target(sshd), login(account))
    assert error.category is ErrorCategory.SSH_NEGOTIATION
    assert words in error.message
    assert "legacy_algorithms" in error.message
    assert "userauth-request" not in sshd.log()
    read(target(sshd, legacy_algorithms=True), login(account))


def test_impostor_is_not_asked_to_let_anybody_in(start: Start, account: str) -> None:
    sshd = start()
    known = KeyPair().public
    with nothing_left():
        error = failure(target(sshd, host_key=known), login(account))
    assert isinstance(error, HostKeyRefused)
    for key in (known, sshd.host_key.public):
        assert fingerprint(" ".join(key.split()[:2])) in error.message
    assert "Connection from 127.0.0.1" in sshd.log()
    assert "userauth-request" not in sshd.log()


def jump(sshd: Sshd, credential: DeviceCredential, name: str) -> JumpTarget:
    return JumpTarget(name=name, address=ADDRESS, port=sshd.port, credential=credential)


def test_way_over_two_jump_hosts(start: Start, account: str) -> None:
    pair = KeyPair(PASSPHRASE)
    by_key = login(account, password=None, ssh_key=pair.private, ssh_key_passphrase=PASSPHRASE)
    outer, inner, far = start(keys=(pair,), password=False), start(), start()
    jumps = (jump(outer, by_key, "outer"), jump(inner, login(account), "inner"))
    with nothing_left():
        collection = read(target(far, jumps=jumps), login(account))
    assert collection.jump_host_keys == {
        "outer": " ".join(outer.host_key.public.split()[:2]),
        "inner": " ".join(inner.host_key.public.split()[:2]),
    }
    # The jump host itself knows this name.
    read(target(far, address="localhost", jumps=jumps[:1]), login(account))


def test_jump_host_that_forwards_nothing(start: Start, account: str) -> None:
    closed, far = start("AllowTcpForwarding no"), start()
    error = failure(target(far, jumps=(jump(closed, login(account), "outer"),)), login(account))
    assert error.category is ErrorCategory.JUMP_HOST
    assert "AllowTcpForwarding" in error.message
