"""Devices over Telnet: log-in, negotiation and what hostile ones do."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.types import DeviceTarget, Transport
from inventory.platforms import use_directory
from tests.support.reading import LIMITS, credential, device, failure, nothing_left, read
from tests.support.scripted_device import ENABLE_SECRET, PASSWORD, ScriptedPlayer
from tests.support.scripted_device_script import load_script
from tests.support.ssh_host import ADDRESS

PLATFORMS = Path(__file__).parents[1] / "platforms"
LOGIN = credential(password=PASSWORD, enable_secret=ENABLE_SECRET)
QUICK = dataclasses.replace(LIMITS, login_timeout=3, command_timeout=1.5, deadline=10)


@pytest.fixture
def player() -> Iterator[ScriptedPlayer]:
    with ScriptedPlayer() as running:
        yield running


def telnet(port: int, platform: str = "cisco_ios") -> DeviceTarget:
    return device(port, platform=platform, transport=Transport.TELNET)


@pytest.mark.parametrize(
    "case",
    [
        "cisco_ios/router",  # Netmiko has a Telnet driver with the usual log-in
        "huawei/router",  # it has one with a log-in of its own
        "hp_procurve/access",
        "juniper_junos/braces",
        "vyos/commands",  # it has none
        "mikrotik_routeros/router7",
    ],
)
def test_telnet_reads_what_ssh_reads(player: ScriptedPlayer, case: str) -> None:
    script = load_script(PLATFORMS / f"{case}.session.toml")
    platform = case.partition("/")[0]
    over_ssh = player.play(script)
    over_telnet = player.play(script, Transport.TELNET)
    with nothing_left():
        collection = read(telnet(over_telnet.port, platform), LOGIN)
    expected = read(device(over_ssh.port, platform=platform), LOGIN)
    assert len(over_telnet.usernames) == 1
    assert [output.payload for output in collection.outputs] == [
        output.payload for output in expected.outputs
    ]
    assert collection.host_key is None
    assert collection.notes == ()


@pytest.mark.parametrize(
    "case",
    [
        "cisco_ios/router",
        "hp_procurve/access",
        "huawei/router",
        "ipinfusion_ocnos/leaf",
        "nec_ix/ix2215",
        "ruckus_fastiron/icx",
        "tplink_jetstream/switch",
        "vyos/commands",
        "zte_zxros/olt",
    ],
)
def test_a_wrong_password_is_sent_once(player: ScriptedPlayer, case: str) -> None:
    far = player.play(load_script(PLATFORMS / f"{case}.session.toml"), Transport.TELNET)
    started = time.monotonic()
    with nothing_left():
        error = failure(telnet(far.port, case.partition("/")[0]), credential(password="no"))
    assert error.category is ErrorCategory.AUTHENTICATION
    assert far.sessions == []
    assert len(far.usernames) == 1
    assert time.monotonic() - started < LIMITS.login_timeout + 2


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory of the operator."""
    use_directory(tmp_path)
    yield tmp_path
    use_directory(None)


def test_a_log_in_of_netmiko_sends_a_wrong_password_once(
    player: ScriptedPlayer, directory: Path
) -> None:
    """Its own loop writes it again whenever it is asked."""
    text = 'extends = "cisco_ios"\ntelnet_driver = "furukawa_fitelnet_telnet"\n'
    (directory / "fitelnet.toml").write_text(text)
    script = load_script(PLATFORMS / "cisco_ios" / "router.session.toml")
    far = player.play(script, Transport.TELNET)
    error = failure(telnet(far.port, "fitelnet"), credential(password="no"))
    assert error.category is ErrorCategory.AUTHENTICATION
    assert len(far.usernames) == 1


def test_log_in_is_quick(player: ScriptedPlayer) -> None:
    """Netmiko's own waits for at least three seconds."""
    script = load_script(PLATFORMS / "frr" / "router.session.toml")
    far = player.play(script, Transport.TELNET)
    collection = read(telnet(far.port, "frr"), LOGIN)
    assert collection.phase_seconds["login"] < 3


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that lets ``talk`` have its first connection."""
    with socket.create_server((ADDRESS, 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                try:
                    talk(connection)
                except OSError:
                    return  # the other side has gone

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(20)


def talk_failure(talk: Callable[[socket.socket], None], platform: str = "cisco_ios") -> DeviceError:
    with server(talk) as port, nothing_left():
        return failure(telnet(port, platform), LOGIN, limits=QUICK)


def read_to(connection: socket.socket, end: bytes) -> bytes:
    said = b""
    while not said.endswith(end):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError
        said += byte
    return said


def test_hangs_up_after_the_password() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"Password: ")
        assert read_to(connection, b"\r") == PASSWORD.encode() + b"\r"

    error = talk_failure(talk)
    assert error.category is ErrorCategory.AUTHENTICATION
    assert "after the password" in error.message


def test_questions_that_are_painted_on_the_screen() -> None:
    """As a ProCurve does, with a key to press before the log-in."""
    heard = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"\x1b[2J\x1b[1;1HProCurve\r\nPress any key to continue\x1b[24;1H")
        heard.append(read_to(connection, b"\r"))
        connection.sendall(b"\x1b[1;24r\x1b[24;1HUsername: \x1b[?25h\x1b[24;11H")
        heard.append(read_to(connection, b"\r"))

    talk_failure(talk, "hp_procurve")
    assert heard == [b"\r", b"netops\r"]


def test_hangs_up_before_the_log_in() -> None:
    error = talk_failure(lambda connection: None)
    assert error.category is ErrorCategory.SESSION_DROPPED


def test_refusal_without_another_question() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"Password: ")
        read_to(connection, b"\r")
        connection.sendall(b"\r\n% Login invalid\r\n")
        read_to(connection, b"never")

    assert talk_failure(talk).category is ErrorCategory.AUTHENTICATION


def test_says_nothing() -> None:
    def talk(connection: socket.socket) -> None:
        read_to(connection, b"never")

    started = time.monotonic()
    error = talk_failure(talk)
    assert error.category is ErrorCategory.READ_TIMEOUT
    assert time.monotonic() - started < QUICK.login_timeout + 3


def test_silent_line_is_woken() -> None:
    """As a console line is: it shows its question once somebody is there."""
    heard = []

    def talk(connection: socket.socket) -> None:
        heard.append(read_to(connection, b"\r\n"))
        connection.sendall(b"\r\nUsername: ")
        heard.append(read_to(connection, b"\r"))

    with server(talk) as port:
        failure(telnet(port), LOGIN, limits=QUICK)
    assert heard == [b"\r\n", b"netops\r"]


def test_negotiates_for_ever() -> None:
    def talk(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"\xff\xfb\x01" * 1000)

    assert talk_failure(talk).category is ErrorCategory.READ_TIMEOUT


def test_floods_before_the_log_in() -> None:
    def talk(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    assert talk_failure(talk).category is ErrorCategory.OUTPUT_TOO_LARGE


def test_window_size_is_told() -> None:
    heard = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"\xff\xfd\x1f")
        heard.append(read_to(connection, b"\xff\xf0"))

    talk_failure(talk)
    # RFC 1073: WILL NAWS, then 511 columns and 1000 rows.
    assert heard == [b"\xff\xfb\x1f\xff\xfa\x1f\x01\xff\xff\x03\xe8\xff\xf0"]
