"""This very machine as a Linux host, read over real OpenSSH from the shells that hosts have."""

from __future__ import annotations

import base64
import hashlib
import platform as machine
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.engine.normalise import normalise
from inventory.platforms import get_platform
from inventory.platforms.definition import Fact, Role
from tests.acceptance.host import Host, running_host
from tests.acceptance.lab import Login, canary
from tests.support import openssh
from tests.support.openssh import KeyPair

pytestmark = [pytest.mark.openssh, pytest.mark.slow]

_PLATFORM = get_platform("linux")
#: The way in, by shell. The prompt of bash names the host, that of dash is a dollar sign.
_WAYS = {"/bin/bash": "password", "/bin/dash": "publickey"}


def login_by(way: str) -> Login:
    """A password, or an Ed25519 key with a passphrase."""
    if way == "password":
        return Login(password=canary("Login"))
    passphrase = canary("Passphrase")
    return Login(key=KeyPair(passphrase), passphrase=passphrase)


@pytest.fixture(scope="module", params=_WAYS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    reason = openssh.missing()
    if reason is None and shutil.which("ip") is None:
        reason = "the tables of the network are read with ip: apt-get install iproute2"
    if reason is not None:
        pytest.skip(reason)
    shell = str(request.param)
    login = login_by(_WAYS[shell])
    with running_host("linux", shell=Path(shell), group="users", login=login) as host:
        yield host


def test_host_is_trusted_and_read_alike_twice(host: Host) -> None:
    first, second = host.back_up(), host.back_up()
    for outcome in (first, second):
        assert outcome.suspicions == ()
        assert outcome.notes == ()
        assert outcome.config is not None
    assert first.config == second.config


def test_outputs_are_what_the_commands_print(host: Host) -> None:
    expected = b"".join(
        f"# {command.command}\n".encode() + host.printed(command.command)
        for command in _PLATFORM.commands
        if command.role is Role.RUNNING
    )
    # Without what counts down while the tests run.
    assert normalise(_PLATFORM, host.back_up().raw) == normalise(_PLATFORM, expected)


def test_release_is_found(host: Host) -> None:
    release = machine.freedesktop_os_release()["PRETTY_NAME"]
    assert host.back_up().facts[Fact.OS_VERSION] == release


def test_host_was_entered_in_the_way_of_its_login(host: Host) -> None:
    host.back_up()
    way = "publickey" if host.login.key else "password"
    # The fixture's own key is another one, so the log has to name the key of the login.
    accepted = [line for line in host.sshd.log().splitlines() if f"Accepted {way}" in line]
    assert accepted, host.sshd.log()
    if host.login.key:
        assert any(fingerprint_of(host.login.key) in line for line in accepted)


def fingerprint_of(key: KeyPair) -> str:
    """As OpenSSH's server logs it."""
    digest = hashlib.sha256(base64.b64decode(key.public.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
