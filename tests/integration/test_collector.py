"""The Netmiko collector against simulated devices over real SSH."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import socket
import threading
import time
import traceback

import pytest

from backups.engine.cancellation import Cancellation
from backups.engine.collector import SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector import NetmikoCollector, session
from backups.engine.netmiko_collector.room import Place, Room
from backups.engine.normalise import clean_text, normalise
from backups.engine.types import Collection, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import get_platform
from netraven_site.demo.simulator import DeviceSpec, Fault, FaultKind
from tests.support.devices import ThreadedFleet, device_spec, fleet_in_thread
from tests.support.waiting import wait_for

PLATFORMS = ("cisco_ios", "cisco_nxos", "arista_eos", "juniper_junos", "vyos", "frr", "linux")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
LIMITS = SessionLimits(
    connect_timeout=2,
    login_timeout=2,
    command_timeout=1.5,
    deadline=4,
    max_output_bytes=2_000_000,
    allowed_networks=LOOPBACK,
)


def collect(
    fleet: ThreadedFleet,
    spec: DeviceSpec,
    *,
    limits: SessionLimits = LIMITS,
    host_key: str | None = None,
    **credential: str | None,
) -> Collection:
    address, port = fleet.address(spec.hostname)
    login = DeviceCredential(
        name="lab",
        username=spec.username,
        **({"password": spec.password, "enable_secret": spec.enable_secret} | credential),
    )
    target = DeviceTarget(
        device_id=1,
        hostname=spec.hostname,
        address=address,
        port=port,
        platform=spec.platform,
        host_key=host_key,
    )
    return NetmikoCollector().collect(target, login, get_platform(spec.platform), limits)


def failure(fleet: ThreadedFleet, spec: DeviceSpec, **arguments: object) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        collect(fleet, spec, **arguments)  # type: ignore[arg-type]  # passed on as given
    return caught.value


def test_says_behind_which_prompt_it_typed() -> None:
    spec = device_spec("cisco_ios", "core")
    with fleet_in_thread(spec) as fleet:
        assert collect(fleet, spec).prompt == "core#"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_reads_what_the_device_printed(platform: str) -> None:
    spec = device_spec(platform)
    with fleet_in_thread(spec) as fleet:
        output = collect(fleet, spec).outputs[0]
        text = clean_text(output.payload)
        if platform in {"cisco_ios", "cisco_nxos", "arista_eos", "frr"}:
            # Normalised: the device prints the time.
            definition = get_platform(platform)
            printed = fleet.config(spec.hostname).encode()
            assert normalise(definition, output.payload) == normalise(definition, printed)
        lines = text.splitlines()
        assert len(lines) >= 20
        assert spec.hostname in text
        # Neither the echoed command nor the next prompt.
        assert not any(re.search(rf"{spec.hostname}\S*[#>$]", line) for line in lines)


def test_enters_the_privileged_mode() -> None:
    spec = device_spec("cisco_ios", enable_secret="En-able-9")
    with fleet_in_thread(spec) as fleet:
        text = clean_text(collect(fleet, spec).outputs[0].payload)
        assert text.rstrip().endswith("end")


def test_wrong_enable_secret() -> None:
    spec = device_spec("cisco_ios", enable_secret="En-able-9")
    with fleet_in_thread(spec) as fleet:
        error = failure(fleet, spec, enable_secret="not-it")
    assert error.category is ErrorCategory.ENABLE
    assert "not-it" not in str(error)


def test_missing_enable_secret() -> None:
    spec = device_spec("cisco_ios", enable_secret="En-able-9")
    with fleet_in_thread(spec) as fleet:
        error = failure(fleet, spec, enable_secret=None)
    assert error.category is ErrorCategory.ENABLE
    assert "has none" in error.message


def test_wrong_password() -> None:
    spec = device_spec("cisco_ios")
    with fleet_in_thread(spec) as fleet:
        error = failure(fleet, spec, password="not-it-either")
    assert error.category is ErrorCategory.AUTHENTICATION
    assert "not-it-either" not in str(error)


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        (FaultKind.HANG_AFTER_LOGIN, {ErrorCategory.READ_TIMEOUT, ErrorCategory.DEADLINE}),
        (FaultKind.HANG_MID_OUTPUT, {ErrorCategory.READ_TIMEOUT}),
        (FaultKind.DROP_MID_OUTPUT, {ErrorCategory.SESSION_DROPPED}),
        (
            FaultKind.DROP_BEFORE_BANNER,
            {ErrorCategory.SSH_NEGOTIATION, ErrorCategory.SESSION_DROPPED},
        ),
        (FaultKind.FLOOD, {ErrorCategory.OUTPUT_TOO_LARGE}),
        (FaultKind.DRIP, {ErrorCategory.DEADLINE}),
        (FaultKind.AUTH_FAIL, {ErrorCategory.AUTHENTICATION}),
    ],
)
def test_faults_have_their_category(kind: FaultKind, category: set[ErrorCategory]) -> None:
    spec = device_spec("cisco_ios", fault=Fault(kind))
    before = threading.active_count()
    with fleet_in_thread(spec) as fleet:
        error = failure(fleet, spec)
    assert error.category in category
    assert "\n" not in error.message
    # The watch over deadlines stays; the threads of the session go.
    wait_for(lambda: threading.active_count() <= before + 1, "the end of the session's threads", 5)


def test_an_error_does_not_keep_what_the_device_printed() -> None:
    spec = device_spec("cisco_ios", fault=Fault(FaultKind.FLOOD))
    with fleet_in_thread(spec) as fleet:
        error = failure(fleet, spec)
    assert error.__cause__ is not None
    frames = [frame for frame, _ in traceback.walk_tb(error.__cause__.__traceback__)]
    assert "ask" in [frame.f_code.co_name for frame in frames]
    held = [
        (frame.f_code.co_name, name)
        for frame in frames
        for name, value in frame.f_locals.items()
        if isinstance(value, bytes | bytearray) and len(value) > 10_000
    ]
    assert held == []


@pytest.fixture
def full_room(monkeypatch: pytest.MonkeyPatch) -> Place:
    """What another session has taken: all the memory for long answers."""
    room = Room(0, own=1_000)
    monkeypatch.setattr(session, "ROOM", room)
    other = Place(room)
    assert other.hold(1_001, 0.0)
    return other


def test_a_long_answer_waits_for_room(full_room: Place) -> None:
    spec = device_spec("cisco_ios")
    leaves = threading.Timer(1.0, full_room.leave)
    with fleet_in_thread(spec) as fleet:
        leaves.start()
        begun = time.monotonic()
        collection = collect(fleet, spec)
    leaves.join()
    assert len(collection.outputs[0].payload) > 1_000
    assert time.monotonic() - begun > 0.9


@pytest.mark.usefixtures("full_room")
def test_a_session_waits_for_room_until_its_deadline() -> None:
    spec = device_spec("cisco_ios")
    with fleet_in_thread(spec) as fleet:
        assert failure(fleet, spec).category is ErrorCategory.DEADLINE


@pytest.mark.usefixtures("full_room")
def test_a_session_that_is_called_off_does_not_wait_for_room() -> None:
    spec = device_spec("cisco_ios")
    limits = dataclasses.replace(LIMITS, deadline=30, cancellation=Cancellation())
    ends = threading.Timer(1.0, limits.cancellation.cancel)
    with fleet_in_thread(spec) as fleet:
        ends.start()
        begun = time.monotonic()
        error = failure(fleet, spec, limits=limits)
    ends.join()
    assert (error.category, error.message) == (
        ErrorCategory.SESSION_DROPPED,
        "the session was called off",
    )
    assert 0.9 < time.monotonic() - begun < 15


@pytest.mark.usefixtures("full_room")
def test_a_device_that_does_not_wait_to_be_read_is_refused() -> None:
    spec = device_spec("cisco_ios", fault=Fault(FaultKind.FLOOD_STDERR))
    limits = dataclasses.replace(LIMITS, deadline=20)
    with fleet_in_thread(spec) as fleet:
        error = failure(fleet, spec, limits=limits)
    assert error.category is ErrorCategory.OUTPUT_TOO_LARGE
    assert "more than SSH allows" in error.message


def test_known_host_key_is_required() -> None:
    spec = device_spec("cisco_ios")
    with fleet_in_thread(spec) as fleet:
        known = collect(fleet, spec).host_key
        assert known is not None
        assert collect(fleet, spec, host_key=known).host_key == known
        fleet.set_fault(spec.hostname, Fault(FaultKind.DIFFERENT_HOST_KEY))
        attempts = fleet.log(spec.hostname)["login_attempts"]
        error = failure(fleet, spec, host_key=known)
        assert error.category is ErrorCategory.HOST_KEY
        assert fleet.log(spec.hostname)["login_attempts"] == attempts


def test_refused_port_and_unknown_name() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    target = DeviceTarget(
        device_id=1, hostname="x", address="127.0.0.1", port=port, platform="cisco_ios"
    )
    login = DeviceCredential(name="lab", username="u", password="p")
    platform = get_platform("cisco_ios")
    with pytest.raises(DeviceError) as refused:
        NetmikoCollector().collect(target, login, platform, LIMITS)
    assert refused.value.category is ErrorCategory.CONNECTION_REFUSED
    unknown = DeviceTarget(
        device_id=1, hostname="x", address="no-such-host.invalid", port=22, platform="cisco_ios"
    )
    with pytest.raises(DeviceError) as nowhere:
        NetmikoCollector().collect(unknown, login, platform, LIMITS)
    assert nowhere.value.category is ErrorCategory.DNS_FAILURE


def test_loopback_is_refused_unless_allowed() -> None:
    limits = SessionLimits(
        connect_timeout=3, login_timeout=5, command_timeout=3, deadline=12, max_output_bytes=1000
    )
    login = DeviceCredential(name="lab", username="u", password="p")
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "0.0.0.0"):  # noqa: S104 - refused, not bound
        target = DeviceTarget(
            device_id=1, hostname="x", address=address, port=22, platform="cisco_ios"
        )
        with pytest.raises(DeviceError) as caught:
            NetmikoCollector().collect(target, login, get_platform("cisco_ios"), limits)
        assert caught.value.category is ErrorCategory.ADDRESS_REFUSED, address
