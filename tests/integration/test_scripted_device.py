"""The scripted device itself: what the platform fixtures may rely on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from backups.engine.types import Transport
from tests.support.scripted_device import (
    ENABLE_SECRET,
    PASSWORD,
    USERNAME,
    ScriptedDevice,
    ScriptedPlayer,
)
from tests.support.scripted_device_script import ScriptError, load_script

SECONDS = 10.0
SESSION = r"""
greeting = "\r\nWelcome\r\n"
questions = [{ ask = "Press any key to continue", answer = "" }]
prompt = "sw1>"
unknown = "% Invalid input"

[enable]
password_prompt = "Password: "
prompt = "sw1#"
only_privileged = ["show running-config"]

[pager]
lines = 2
mark = " --More-- "
erase = "\r          \r"
off = ["terminal length 0"]

[commands]
"show running-config" = "@input"
"show archive" = "@again"
"show clock" = "12:00"
"""
#: IAC WILL ECHO, IAC WILL SUPPRESS-GO-AHEAD (RFC 854).
TELNET_OFFER = b"\xff\xfb\x01\xff\xfb\x03"
ERASE = "\r          \r"


class Dialogue:
    """A client that types and reads up to what it waits for."""

    def __init__(self, send: Callable[[bytes], object], receive: Callable[[int], bytes]) -> None:
        self._send = send
        self._receive = receive

    def type(self, text: str, until: str) -> str:
        """What the device prints once ``text`` is typed, up to and with ``until``."""
        self._send(text.encode())
        return self.read(until)

    def read(self, until: str) -> str:
        printed = b""
        while not printed.endswith(until.encode()):
            data = self._receive(1)
            assert data, f"the device hung up after {printed!r}"
            printed += data
        return printed.decode()

    def has_ended(self) -> bool:
        return self._receive(1) == b""


@pytest.fixture
def player() -> Iterator[ScriptedPlayer]:
    with ScriptedPlayer() as running:
        yield running


@pytest.fixture
def session(tmp_path: Path) -> Path:
    (tmp_path / "box.input.txt").write_text("one\ntwo\nthree\nfour\nfive\n")
    (tmp_path / "box.again.txt").write_text("six\n")
    path = tmp_path / "box.session.toml"
    path.write_text(SESSION)
    return path


@pytest.fixture
def device(player: ScriptedPlayer, session: Path) -> ScriptedDevice:
    return player.play(load_script(session))


@pytest.fixture
def dialogue(device: ScriptedDevice) -> Iterator[Dialogue]:
    with logged_in(device) as client:
        yield in_shell(client)


def logged_in(device: ScriptedDevice, password: str = PASSWORD) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())  # noqa: S507 - a key of this test
    try:
        client.connect(
            device.host,
            device.port,
            USERNAME,
            password,
            look_for_keys=False,
            allow_agent=False,
            timeout=SECONDS,
        )
    except paramiko.SSHException:
        client.close()
        raise
    return client


def in_shell(client: paramiko.SSHClient) -> Dialogue:
    channel = client.invoke_shell()
    channel.settimeout(SECONDS)
    return Dialogue(channel.sendall, channel.recv)


def privileged(dialogue: Dialogue) -> Dialogue:
    dialogue.read("Press any key to continue")
    dialogue.type("\n", "sw1>")
    dialogue.type("enable\n", "Password: ")
    dialogue.type(f"{ENABLE_SECRET}\n", "sw1#")
    return dialogue


def test_wrong_log_in_is_refused(device: ScriptedDevice) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        logged_in(device, "not-it")
    assert device.sessions == []


def test_question_comes_between_greeting_and_prompt(dialogue: Dialogue) -> None:
    assert dialogue.read("continue") == "\r\nWelcome\r\nPress any key to continue"
    assert dialogue.type("n\r", "continue") == "n\r\nPress any key to continue"
    assert dialogue.type("\r", "sw1>") == "\r\nsw1>"


def test_enter_is_cr_lf_or_both(dialogue: Dialogue) -> None:
    dialogue.read("Press any key to continue")
    answer = "show clock\r\n12:00\r\nsw1>"
    assert dialogue.type("\r\nshow clock\r", answer) == f"\r\nsw1>{answer}"
    assert dialogue.type("shw\nshow clock\r\n\n", "sw1>") == "shw\r\n% Invalid input\r\nsw1>"
    assert dialogue.read(f"{answer}\r\nsw1>") == f"{answer}\r\nsw1>"


def test_typed_line_can_be_corrected(dialogue: Dialogue) -> None:
    dialogue.read("Press any key to continue")
    dialogue.type("\n", "sw1>")
    assert dialogue.type("no\x15shx\x7fow\x08w", "w\b \bw") == "no\b \b\b \bshx\b \bow\b \bw"
    assert dialogue.type(" clock\n", "12:00\r\nsw1>")
    assert dialogue.type("show\x03", "sw1>") == "show\r\nsw1>"


def test_privileged_mode_wants_its_secret(dialogue: Dialogue) -> None:
    dialogue.read("Press any key to continue")
    dialogue.type("\n", "sw1>")
    assert "% Invalid input" in dialogue.type("show running-config\n", "sw1>")
    dialogue.type("enable\n", "Password: ")
    assert dialogue.type("not-it\n", "sw1>") == "\r\n% Access denied\r\nsw1>"
    dialogue.type("enable\n", "Password: ")
    assert dialogue.type(f"{ENABLE_SECRET}\n", "sw1#") == "\r\nsw1#"
    assert dialogue.type("show running-config\n", " --More-- ").endswith("two\r\n --More-- ")


def test_pager_stops_and_goes_on(dialogue: Dialogue) -> None:
    privileged(dialogue)
    dialogue.type("show running-config\n", "one\r\ntwo\r\n --More-- ")
    assert dialogue.type("x\n", " --More-- ") == f"{ERASE}three\r\n --More-- "
    assert dialogue.type(" ", "sw1#") == f"{ERASE}four\r\nfive\r\nsw1#"
    dialogue.type("show running-config\n", " --More-- ")
    assert dialogue.type("q", "sw1#") == f"{ERASE}sw1#"
    dialogue.type("terminal length 0\n", "sw1#")
    assert "four\r\nfive\r\nsw1#" in dialogue.type("show running-config\n", "sw1#")


def test_command_prints_its_part_of_the_text(session: Path) -> None:
    session.write_text("prompt='a'\nunknown=''\n[commands]\n'show a'='@part'\n'show b'='@part'")
    (session.parent / "box.input.txt").write_text("! show a\n# show\none\n\n! show b\n")
    (session.parent / "box.again.txt").write_text("! show a\n! show b\n! show c\ntwo\n")
    device = load_script(session)
    assert device.text("show a", first=True) == "# show\none\n\n"
    assert device.text("show b", first=True) == ""
    assert device.text("show b", first=False) == "! show c\ntwo\n"


def test_second_log_in_reads_the_other_text(device: ScriptedDevice) -> None:
    for expected in ("one\r\ntwo\r\n --More-- ", "six\r\nsw1#"):
        with logged_in(device) as client:
            dialogue = privileged(in_shell(client))
            assert dialogue.type("show archive\n", "sw1#") == "show archive\r\nsix\r\nsw1#"
            assert dialogue.type("show running-config\n", expected).endswith(expected)
    assert device.sessions == [["enable", "show archive", "show running-config"]] * 2


@pytest.mark.parametrize("command", ["exit", "quit", "logout"])
def test_session_ends(dialogue: Dialogue, command: str) -> None:
    dialogue.read("Press any key to continue")
    dialogue.type("\n", "sw1>")
    dialogue.type(f"{command}\n", f"{command}\r\n")
    assert dialogue.has_ended()


def test_telnet_log_in(player: ScriptedPlayer, session: Path) -> None:
    device = player.play(load_script(session), Transport.TELNET)
    with socket.create_connection((device.host, device.port), SECONDS) as connection:
        dialogue = Dialogue(connection.sendall, connection.recv)
        assert connection.recv(len(TELNET_OFFER)) == TELNET_OFFER
        # IAC DO ECHO is agreed, IAC WILL TERMINAL-TYPE is refused.
        connection.sendall(b"\xff\xfd\x01\xff\xfb\x18")
        dialogue.read("login: ")
        assert connection.recv(3) == b"\xff\xfe\x18"
        assert dialogue.type(f"{USERNAME}\r\n", "Password: ") == f"{USERNAME}\r\nPassword: "
        assert dialogue.type("not-it\r\n", "login: ") == "\r\nLogin incorrect\r\nlogin: "
        dialogue.type(f"{USERNAME}\r\x00", "Password: ")
        assert dialogue.type(f"{PASSWORD}\r\n", "continue").endswith("Press any key to continue")
        assert dialogue.type("\r\x00show clock\r\n", "clock\r\n12:00\r\nsw1>")
        dialogue.type("exit\r\n", "exit\r\n")
        assert dialogue.has_ended()


LOGIN_BY_QUESTIONS = r"""
login_by_questions = true
questions = [
    { ask = "Enter Ctrl-Y to begin", answer = "\u0019", enter = false },
    { ask = "User Name:", answer = "netops" },
    { ask = "Password:", answer = "Login-1-secret", echo = false },
]
prompt = "sw2#"
unknown = ""
[commands]
"""


@contextmanager
def let_in(device: ScriptedDevice, transport: Transport) -> Iterator[Dialogue]:
    """A connection to a device that asks for the log-in itself."""
    with socket.create_connection((device.host, device.port), SECONDS) as connection:
        if transport is Transport.TELNET:
            assert connection.recv(len(TELNET_OFFER)) == TELNET_OFFER
            yield Dialogue(connection.sendall, connection.recv)
            return
        with paramiko.Transport(connection) as ssh:
            ssh.start_client(timeout=SECONDS)
            ssh.auth_none("anybody")
            channel = ssh.open_session(timeout=SECONDS)
            channel.invoke_shell()
            yield Dialogue(channel.sendall, channel.recv)


@pytest.mark.parametrize("transport", Transport)
def test_device_may_ask_for_the_log_in_itself(
    player: ScriptedPlayer, session: Path, transport: Transport
) -> None:
    session.write_text(LOGIN_BY_QUESTIONS)
    with let_in(player.play(load_script(session), transport), transport) as dialogue:
        dialogue.read("Enter Ctrl-Y to begin")
        assert dialogue.type("\r", "begin") == "Enter Ctrl-Y to begin"
        assert dialogue.type("\x19", "User Name:") == "User Name:"
        assert dialogue.type("someone\r", "Name:") == "someone\r\nUser Name:"
        assert dialogue.type(f"{USERNAME}\r", "Password:") == f"{USERNAME}\r\nPassword:"
        assert dialogue.type(f"{PASSWORD}\r", "sw2#") == "\r\nsw2#"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("prompt = 'a'\nunknown = ''\nprmpt = ''\n[commands]\n", "prmpt: unknown key"),
        ("prompt = 'a'\nunknown = ''\n[commands]\n[pager]\nmark='m'\nlimes=1", "pager.limes"),
        ("prompt = 'a'\nunknown = ''\n[commands]\nx = '@inptu'\n", "commands.x: '@inptu'"),
        ("prompt = 'a'\nunknown = ''\n[commands]\nx = '@part'\n", "commands.x: a text beside"),
        (
            "prompt='a'\nunknown=''\n[commands]\n[enable]\nprompt='b'\nonly_privileged=['x']",
            "enable.only_privileged: [commands] lacks 'x'",
        ),
    ],
)
def test_wrong_file_is_named_with_its_key(session: Path, wrong: str, message: str) -> None:
    session.write_text(wrong)
    with pytest.raises(ScriptError) as caught:
        load_script(session)
    assert "box.session.toml: " in str(caught.value)
    assert message in str(caught.value)
