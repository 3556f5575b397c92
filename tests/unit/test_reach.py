"""Which addresses are connected to, with real sockets."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator, Sequence

import pytest

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.reach import Network, check_literal, connect

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def failure(address: str, port: int = 22, allowed: Sequence[Network] = ()) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        connect(address, port, timeout=0.5, allowed=allowed)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "2130706433", "127.1"])
def test_an_allowed_address_is_connected_to(address: str, listener: int) -> None:
    with connect(address, listener, timeout=5, allowed=LOOPBACK) as connection:
        assert connection.getpeername()[:2] == ("127.0.0.1", listener)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "169.254.169.254",
        "fe80::1",
        "fe80::1%lo",
        "224.0.0.1",
        "ff02::1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_addresses_of_no_device_are_refused(address: str, listener: int) -> None:
    error = failure(address, listener)
    assert error.category is ErrorCategory.ADDRESS_REFUSED
    assert "NETRAVEN_ALLOWED_NETWORKS" in error.message


def test_what_is_allowed_is_no_more_than_was_said(listener: int) -> None:
    only = [ipaddress.ip_network("127.0.0.2/32")]
    assert failure("127.0.0.1", listener, only).category is ErrorCategory.ADDRESS_REFUSED


def test_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = failure("127.0.0.1", port, LOOPBACK)
    assert error.category is ErrorCategory.CONNECTION_REFUSED
    assert f"127.0.0.1 port {port}" in error.message


@pytest.fixture
def unanswering() -> Iterator[int]:
    """A port that answers nobody."""
    # A full backlog drops further connection requests, as a device that is down does.
    with socket.socket() as server, contextlib.ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield port


def test_no_answer(unanswering: int) -> None:
    error = failure("127.0.0.1", unanswering, LOOPBACK)
    assert error.category is ErrorCategory.CONNECTION_TIMEOUT


def test_a_name_with_many_addresses_takes_no_longer(
    unanswering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name server that gives many addresses cannot be had here.
    entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", unanswering))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [entry] * 20)
    started = time.monotonic()
    with pytest.raises(DeviceError) as caught:
        connect("many.example", unanswering, timeout=0.2, allowed=LOOPBACK, within=0.5)
    assert caught.value.category is ErrorCategory.CONNECTION_TIMEOUT
    assert time.monotonic() - started < 2


def test_a_link_local_address_is_connected_to_on_its_link() -> None:
    """Without the link the system refuses to connect at all."""
    allowed = [ipaddress.ip_network("fe80::/10")]
    error = failure("fe80::1%lo", allowed=allowed)
    assert error.category is ErrorCategory.CONNECTION_TIMEOUT
    assert "Invalid argument" not in error.message


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a" * 300, "..", "x" * 64 + ".example"])
def test_names_that_cannot_be_resolved(name: str) -> None:
    assert failure(name).category is ErrorCategory.DNS_FAILURE


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "169.254.169.254", "224.0.0.1"),
        *("::1", "fe80::1%lo", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "LocalHost.", "0"),
    ],
)
def test_literal_for_somebody_else_is_refused(address: str) -> None:
    with pytest.raises(DeviceError) as caught:
        check_literal(address, allowed=())
    assert caught.value.category is ErrorCategory.ADDRESS_REFUSED


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "router.example", "x" * 300])
def test_other_addresses_and_names_are_let_through(address: str) -> None:
    check_literal(address, allowed=())


def test_literal_that_is_allowed_is_let_through() -> None:
    check_literal("127.1", allowed=LOOPBACK)
