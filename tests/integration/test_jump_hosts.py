"""Ways that lead through one and two jump hosts, against real servers."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Iterator

import pytest

from backups.engine.errors import DeviceError, ErrorCategory, HostKeyRefused
from backups.engine.types import HostKeyMode, Transport
from tests.support.reading import LIMITS, credential, device, failure, jump, nothing_left, read
from tests.support.scripted_device import PASSWORD as DEVICE_PASSWORD
from tests.support.scripted_device import ScriptedPlayer
from tests.support.ssh_host import ADDRESS, SshHost, SshHosts, recording

QUICK = dataclasses.replace(LIMITS, connect_timeout=1, login_timeout=2, command_timeout=30)


@pytest.fixture
def hosts() -> Iterator[SshHosts]:
    with SshHosts() as running:
        yield running


@pytest.fixture
def bastion(hosts: SshHosts) -> SshHost:
    return hosts.start(SshHost(forwards=True))


@pytest.fixture
def inner(hosts: SshHosts) -> SshHost:
    return hosts.start(SshHost(forwards=True))


@pytest.fixture
def router(hosts: SshHosts) -> SshHost:
    return hosts.start(SshHost())


def test_one_jump_host(bastion: SshHost, router: SshHost) -> None:
    with nothing_left():
        collection = read(device(router.port, jumps=(jump(bastion),)))
    assert b"hostname" in collection.outputs[0].payload
    assert collection.host_key == router.known_host_key
    assert collection.jump_host_keys == {"bastion": bastion.known_host_key}
    assert bastion.forwarded == [(ADDRESS, router.port)]


def test_two_jump_hosts(bastion: SshHost, inner: SshHost, router: SshHost) -> None:
    ways = (jump(bastion), jump(inner, "inner"))
    with nothing_left():
        collection = read(device(router.port, jumps=ways))
    assert b"hostname" in collection.outputs[0].payload
    assert collection.jump_host_keys == {
        "bastion": bastion.known_host_key,
        "inner": inner.known_host_key,
    }
    assert bastion.forwarded == [(ADDRESS, inner.port)]
    assert inner.forwarded == [(ADDRESS, router.port)]


def test_telnet_device_behind_a_jump_host(bastion: SshHost) -> None:
    with ScriptedPlayer() as player:
        far = player.play(recording(), Transport.TELNET)
        target = device(far.port, transport=Transport.TELNET, jumps=(jump(bastion),))
        with nothing_left():
            collection = read(target, credential(password=DEVICE_PASSWORD))
        assert b"hostname" in collection.outputs[0].payload
        assert collection.host_key is None
        assert far.sessions


def test_name_is_resolved_by_the_jump_host(bastion: SshHost, router: SshHost) -> None:
    target = device(router.port, address="router.lab.invalid", jumps=(jump(bastion),))
    error = failure(target)
    assert bastion.forwarded == [("router.lab.invalid", router.port)]
    assert error.category is ErrorCategory.CONNECTION_TIMEOUT
    assert error.message.startswith("jump host 'bastion': ")
    assert "router.lab.invalid" in error.message


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "127.1", "0x7f000001", "localhost"]
)
def test_literal_address_that_is_not_allowed_is_refused(bastion: SshHost, address: str) -> None:
    only_here = dataclasses.replace(LIMITS, allowed_networks=())
    target = device(22, address=address, jumps=(jump(bastion, address="192.0.2.1"),))
    assert failure(target, limits=only_here).category is ErrorCategory.ADDRESS_REFUSED


def test_log_in_refused_by_a_jump_host(bastion: SshHost, inner: SshHost, router: SshHost) -> None:
    wrong = credential(password="not-it")
    for ways, name in (
        ((jump(bastion, credential=wrong),), "bastion"),
        ((jump(bastion), jump(inner, "inner", credential=wrong)), "inner"),
    ):
        with nothing_left():
            error = failure(device(router.port, jumps=ways))
        assert error.category is ErrorCategory.AUTHENTICATION
        assert error.message.startswith(f"jump host '{name}': the host refused the log-in")
    assert router.attempts == []


def test_log_in_refused_by_the_device_names_no_jump_host(bastion: SshHost, router: SshHost) -> None:
    with nothing_left():
        error = failure(device(router.port, jumps=(jump(bastion),)), credential(password="no"))
    assert error.category is ErrorCategory.AUTHENTICATION
    assert error.message.startswith("the device refused the log-in")


def test_changed_key_of_a_jump_host_stops_before_any_log_in(
    bastion: SshHost, inner: SshHost, router: SshHost
) -> None:
    other = SshHost().known_host_key
    ways = (jump(bastion), jump(inner, "inner", host_key=other))
    with nothing_left():
        error = failure(device(router.port, jumps=ways))
    assert isinstance(error, HostKeyRefused)
    assert (error.shown, error.jump_host) == (inner.known_host_key, "inner")
    assert error.message.startswith("jump host 'inner': the host shows host key")
    assert inner.attempts == []


def test_first_key_of_a_jump_host_is_refused_where_it_must_be_known(
    bastion: SshHost, router: SshHost
) -> None:
    strict = jump(bastion, host_key_mode=HostKeyMode.STRICT)
    error = failure(device(router.port, jumps=(strict,)))
    assert isinstance(error, HostKeyRefused)
    assert error.jump_host == "bastion"
    assert bastion.attempts == []


def test_changed_key_of_the_device_names_no_jump_host(bastion: SshHost, router: SshHost) -> None:
    target = device(router.port, host_key=SshHost().known_host_key, jumps=(jump(bastion),))
    error = failure(target)
    assert isinstance(error, HostKeyRefused)
    assert (error.shown, error.jump_host) == (router.known_host_key, None)
    assert router.attempts == []


def test_old_algorithms_are_a_matter_of_each_host(hosts: SshHosts, router: SshHost) -> None:
    old = hosts.start(SshHost(forwards=True, algorithms={"encryption_algs": ["aes128-cbc"]}))
    error = failure(device(router.port, jumps=(jump(old),), legacy_algorithms=True))
    assert error.category is ErrorCategory.JUMP_HOST
    assert "jump host 'bastion': the host offers only old algorithms" in error.message
    assert read(device(router.port, jumps=(jump(old, legacy_algorithms=True),))).outputs


def test_forwarding_that_is_not_allowed(hosts: SshHosts, router: SshHost) -> None:
    closed = hosts.start(SshHost())
    with nothing_left():
        error = failure(device(router.port, jumps=(jump(closed),)))
    assert error.category is ErrorCategory.JUMP_HOST
    assert "jump host 'bastion': it does not allow connections to" in error.message


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind((ADDRESS, 0))
        return int(unused.getsockname()[1])


def test_nobody_listens_behind_the_jump_host(bastion: SshHost) -> None:
    error = failure(device(free_port(), jumps=(jump(bastion),)))
    assert error.category is ErrorCategory.CONNECTION_TIMEOUT
    assert error.message.startswith("jump host 'bastion': ")


def test_jump_host_that_is_down(router: SshHost) -> None:
    gone = jump(SshHost(port=free_port()))
    error = failure(device(router.port, jumps=(gone,)))
    assert error.category is ErrorCategory.JUMP_HOST
    assert error.message.startswith("jump host 'bastion': ")


def ended_by_deadline(error: DeviceError, started: float, seconds: float) -> bool:
    return error.category is ErrorCategory.DEADLINE and time.monotonic() - started < seconds + 3


def test_deadline_ends_the_whole_chain(hosts: SshHosts, bastion: SshHost, inner: SshHost) -> None:
    silent = hosts.start(SshHost(silent=True))
    limits = dataclasses.replace(QUICK, login_timeout=30, deadline=2)
    started = time.monotonic()
    with nothing_left():
        error = failure(
            device(silent.port, jumps=(jump(bastion), jump(inner, "inner"))), limits=limits
        )
    assert ended_by_deadline(error, started, 2)
    assert silent.attempts  # it was reached


@pytest.mark.parametrize("silent_at", ["first", "second", "device"])
def test_deadline_ends_a_host_that_says_nothing(bastion: SshHost, silent_at: str) -> None:
    """It accepts the connection and never sends its version."""
    limits = dataclasses.replace(QUICK, login_timeout=30, deadline=1.5)
    with socket.create_server((ADDRESS, 0)) as mute:
        port = mute.getsockname()[1]
        deaf = jump(SshHost(port=port), "deaf")
        target = {
            "first": device(1, jumps=(deaf,)),
            "second": device(1, jumps=(jump(bastion), deaf)),
            "device": device(port, jumps=(jump(bastion),)),
        }[silent_at]
        started = time.monotonic()
        with nothing_left():
            error = failure(target, limits=limits)
    assert ended_by_deadline(error, started, 1.5)
    assert ("jump host 'deaf'" in error.message) is (silent_at != "device")


def test_device_that_says_nothing_is_given_up_before_the_deadline(bastion: SshHost) -> None:
    with socket.create_server((ADDRESS, 0)) as mute:
        port = mute.getsockname()[1]
        started = time.monotonic()
        with nothing_left():
            error = failure(device(port, jumps=(jump(bastion),)), limits=QUICK)
    assert error.category is ErrorCategory.SSH_NEGOTIATION
    assert time.monotonic() - started < 8
