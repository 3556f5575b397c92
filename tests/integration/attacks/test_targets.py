"""Targets that are no devices: nothing is sent to them, whatever they are called."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector import NetmikoCollector
from backups.targets import device_target, session_limits
from credentials.secret import DeviceCredential
from inventory.models import Device
from inventory.platforms import get_platform
from tests.factories import DeviceFactory, JumpHostFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

TARGETS = [
    "127.0.0.1",
    "localhost",
    "0.0.0.0",  # noqa: S104  # refused, not bound
    "127.1.2.3",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fe80::1",
    "224.0.0.1",
]


@pytest.fixture(autouse=True)
def nothing_allowed(configure: Callable[..., None]) -> None:
    """The rules as they are unless somebody allows more."""
    configure(allowed_networks=[], connect_timeout_seconds=1)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """What waits on every loopback address, and would see a packet."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listening:
        listening.setblocking(False)
        yield listening


def nobody_came(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return True
    return False


def refusal(device: Device) -> DeviceError:
    """How a session with ``device`` ends, as any of ours begins."""
    login = DeviceCredential(name="lab", username="netops", password="x")
    target, limits = device_target(device=device), session_limits(device=device)
    with pytest.raises(DeviceError) as caught:
        NetmikoCollector().collect(target, login, get_platform(device.platform), limits)
    return caught.value


@pytest.mark.parametrize("address", TARGETS)
def test_a_device_there_is_refused_and_sees_no_packet(
    address: str, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    device = DeviceFactory.create(ip_address=address, port=port)
    assert refusal(device).category is ErrorCategory.ADDRESS_REFUSED
    assert nobody_came(listener)


def test_a_name_that_is_bound_anew_is_refused(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was checked is connected to; a second question would get another answer."""
    port = listener.getsockname()[1]
    answers = iter(["192.0.2.1", *["127.0.0.1"] * 9])
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, *rest: Any, **options: Any) -> Any:
        if host != "rebind.example.net":
            return real(host, *rest, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    # No name server of ours gives other answers from one question to the next.
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    device = DeviceFactory.create(ip_address="rebind.example.net", port=port)
    assert refusal(device).category is not ErrorCategory.ADDRESS_REFUSED
    assert asked == ["rebind.example.net"] and nobody_came(listener)
    assert refusal(device).category is ErrorCategory.ADDRESS_REFUSED
    assert nobody_came(listener)


def test_a_jump_host_there_is_refused_too(listener: socket.socket) -> None:
    jump = JumpHostFactory.create(ip_address="127.0.0.1", port=listener.getsockname()[1])
    device = DeviceFactory.create(ip_address="192.0.2.1", jump_host=jump)
    assert "is not an address of a device" in refusal(device).message
    assert nobody_came(listener)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:22",
        "[::1]",
        "http://169.254.169.254/",
        "0x7f.1",
        "fe80::1%$(x)",
        "::1%\n",
        "2130706433",
    ],
)
def test_what_is_no_address_is_refused_when_it_is_stored(address: str) -> None:
    client = Client()
    client.force_login(UserFactory.create(is_superuser=True))
    body = {"hostname": "x", "ip_address": address, "platform": "cisco_ios"}
    answer = client.post("/api/v1/devices/", body, content_type="application/json")
    assert answer.status_code == 400 and "ip_address" in answer.json()["error"]["fields"]
