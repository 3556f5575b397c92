"""The simulated devices behave as real ones do, and their faults as they are named."""

from __future__ import annotations

import asyncio
import difflib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import paramiko
import pytest
from netmiko import ConnectHandler
from netmiko.exceptions import NetmikoAuthenticationException

from netraven_site.demo.simulator import (
    DeviceSpec,
    Fault,
    FaultKind,
    Fleet,
    SimulatorError,
    misbehaviour,
)
from netraven_site.demo.simulator.dialects import DIALECTS
from netraven_site.demo.simulator.secretbook import SecretBook, encode_type7
from netraven_site.demo.simulator.spec import fleet_document, read_fleet_spec
from tests.support.devices import (
    CONFIG_COMMANDS,
    VOLATILE,
    ThreadedFleet,
    device_spec,
    fleet_in_process,
    fleet_in_thread,
    netmiko_arguments,
)
from tests.support.waiting import wait_for

PLATFORMS = sorted(DIALECTS)
WITH_ENABLE = ("arista_eos", "cisco_ios", "linux")
WAIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def healthy() -> Iterator[ThreadedFleet]:
    # Netmiko's window has 1000 rows: longer texts show that its drivers switch the pager off.
    specs = [device_spec(platform, lines=1200) for platform in PLATFORMS]
    with fleet_in_thread(*specs) as fleet:
        yield fleet


def spec_of(fleet: ThreadedFleet, platform: str) -> DeviceSpec:
    return next(spec for spec in fleet.specs if spec.platform == platform)


def stable_lines(text: str, platform: str) -> list[str]:
    return [line for line in text.splitlines() if not VOLATILE[platform].match(line)]


def read_with_netmiko(fleet: ThreadedFleet, spec: DeviceSpec) -> str:
    with ConnectHandler(**netmiko_arguments(fleet, spec)) as connection:
        return str(connection.send_command(CONFIG_COMMANDS[spec.platform]))


class Terminal:
    """A person at a terminal: types, and reads what is printed."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._channel.settimeout(WAIT_SECONDS)
        self.seen = b""

    def type(self, text: str) -> None:
        self._channel.sendall(text.encode())

    def read_until(self, end: bytes) -> bytes:
        """What was printed up to `end`; fails when the device is silent or gone before."""
        while end not in self.seen:
            piece = self._channel.recv(65536)
            assert piece, f"closed after {self.seen[-200:]!r}"
            self.seen += piece
        position = self.seen.index(end) + len(end)
        taken, self.seen = self.seen[:position], self.seen[position:]
        return taken

    def read_to_the_end(self) -> bytes:
        """Everything until the device closes."""
        while piece := self._channel.recv(65536):
            self.seen += piece
        return self.seen

    def is_silent_for(self, seconds: float) -> bool:
        self._channel.settimeout(seconds)
        try:
            piece = self._channel.recv(65536)
        except TimeoutError:
            return True
        finally:
            self._channel.settimeout(WAIT_SECONDS)
        self.seen += piece
        return False


@contextmanager
def logged_in(fleet: ThreadedFleet, spec: DeviceSpec) -> Iterator[paramiko.Transport]:
    with paramiko.Transport(fleet.address(spec.hostname)) as transport:
        transport.connect(username=spec.username, password=spec.password)
        assert transport.get_remote_server_key().fingerprint == fleet.fingerprint(spec.hostname)
        yield transport


@contextmanager
def terminal(fleet: ThreadedFleet, spec: DeviceSpec, rows: int = 10_000) -> Iterator[Terminal]:
    with logged_in(fleet, spec) as transport:
        channel = transport.open_session()
        channel.get_pty(width=200, height=rows)
        channel.invoke_shell()
        yield Terminal(channel)


def run_in_request(fleet: ThreadedFleet, spec: DeviceSpec, command: str) -> str:
    """What `ssh HOST COMMAND` prints."""
    with logged_in(fleet, spec) as transport:
        channel = transport.open_session()
        channel.exec_command(command)
        return Terminal(channel).read_to_the_end().decode()


# Reading.


@pytest.fixture(scope="module", params=PLATFORMS)
def reads(request: pytest.FixtureRequest, healthy: ThreadedFleet) -> tuple[DeviceSpec, list[str]]:
    """Two reads of one session with Netmiko's own driver, and then the device's own word."""
    spec = spec_of(healthy, request.param)
    with ConnectHandler(**netmiko_arguments(healthy, spec)) as connection:
        texts = [str(connection.send_command(CONFIG_COMMANDS[spec.platform])) for _ in range(2)]
    return spec, [*texts, healthy.config(spec.hostname)]


def test_plain_netmiko_reads_the_whole_configuration(reads: tuple[DeviceSpec, list[str]]) -> None:
    spec, (_, text, rendered) = reads
    assert text.strip() == rendered.strip()
    assert len(rendered.splitlines()) == spec.lines


def test_two_reads_differ_only_in_volatile_lines(reads: tuple[DeviceSpec, list[str]]) -> None:
    spec, (first, second, _) = reads
    assert stable_lines(first, spec.platform) == stable_lines(second, spec.platform)
    pairs = zip(first.splitlines(), second.splitlines(), strict=True)
    different = sum(left != right for left, right in pairs)
    assert different == len(first.splitlines()) - len(stable_lines(first, spec.platform))


def test_junos_and_vyos_print_the_same_tree_both_ways(healthy: ThreadedFleet) -> None:
    junos = spec_of(healthy, "juniper_junos")
    with ConnectHandler(**netmiko_arguments(healthy, junos)) as connection:
        output = str(connection.send_command("show configuration | display set | no-more"))
    assert output.strip() == healthy.config(junos.hostname, "set").strip()
    leaves = healthy.config(junos.hostname).count(";")
    assert len(output.strip().splitlines()) == leaves
    vyos = spec_of(healthy, "vyos")
    braces = healthy.config(vyos.hostname, "braces")
    assert braces.count("{") == braces.count("}")


def test_linux_prints_files_and_tables(healthy: ThreadedFleet) -> None:
    spec = spec_of(healthy, "linux")
    with ConnectHandler(**netmiko_arguments(healthy, spec)) as connection:
        lines = str(
            connection.send_command("cat /etc/host* /etc/none; ip rule show && hostname; foo")
        ).splitlines()
        quiet = str(connection.send_command("cat /etc/hostname /etc/none/* 2>/dev/null"))
        routes = [
            str(connection.send_command(f"ip {family} route show table all"))
            for family in ("-4", "-6", "-6")
        ]
    assert lines[0] == lines[-2] == quiet == spec.hostname
    assert lines[1] == "127.0.0.1 localhost"
    assert lines[3] == "cat: /etc/none: No such file or directory"
    assert "lookup local" in lines[4]
    assert lines[-1] == "-bash: foo: command not found"
    assert "expires" not in routes[0]
    assert "expires" in routes[1] != routes[2]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_unknown_commands_get_the_platforms_error(healthy: ThreadedFleet, platform: str) -> None:
    spec = spec_of(healthy, platform)
    with terminal(healthy, spec) as screen:
        screen.type("shrug all\nexit\n")
        output = screen.read_to_the_end().decode().lower()
    assert re.search(r"invalid|unknown command|not found", output)
    assert healthy.log(spec.hostname)["commands"]["(unknown)"] >= 1
    assert "shrug all" not in healthy.log(spec.hostname)["commands"]


def test_root_on_linux_leaves_with_one_exit() -> None:
    spec = device_spec("linux", username="root")
    with fleet_in_thread(spec) as fleet, terminal(fleet, spec) as screen:
        assert b"root@linux-1:/root# " in screen.read_until(b"# ")
        screen.type("exit\n")
        screen.read_to_the_end()


def test_abbreviations_and_filters(healthy: ThreadedFleet) -> None:
    spec = spec_of(healthy, "arista_eos")
    with ConnectHandler(**netmiko_arguments(healthy, spec)) as connection:
        output = str(connection.send_command("sh run | no-more | exclude ! Time:"))
        users = str(connection.send_command("show run | include ^username"))
    rendered = healthy.config(spec.hostname).splitlines()
    assert output.splitlines() == [line for line in rendered if not line.startswith("! Time:")]
    assert [line.split()[1] for line in users.splitlines()] == ["netops", "ops"]


def test_a_command_in_the_request_is_answered_without_a_prompt(healthy: ThreadedFleet) -> None:
    spec = spec_of(healthy, "cisco_ios")
    output = run_in_request(healthy, spec, "show running-config").replace("\r\n", "\n")
    assert output == healthy.config(spec.hostname)


# A person at a terminal.


@pytest.mark.parametrize("platform", [name for name in PLATFORMS if DIALECTS[name].has_pager])
def test_the_pager_stops_until_it_is_switched_off(healthy: ThreadedFleet, platform: str) -> None:
    spec = spec_of(healthy, platform)
    dialect = DIALECTS[platform]
    mark = dialect.pager_mark.encode()
    with terminal(healthy, spec, rows=24) as screen:
        prompt = dialect.privileged_prompt.format(host=spec.hostname, user=spec.username)
        prompt_end = prompt.strip().encode()
        screen.read_until(prompt_end)
        screen.type(CONFIG_COMMANDS[platform] + "\r")
        screen.read_until(b"\n")
        first = screen.read_until(mark)
        assert first.count(b"\r\n") == 23
        screen.type(" ")
        second = screen.read_until(mark)
        assert second.count(b"\r\n") == 23
        screen.type("q")
        screen.read_until(prompt_end)
    shown = first.removesuffix(mark) + second.removesuffix(mark)
    shown = shown.replace(dialect.pager_erase.encode(), b"")
    expected = healthy.config(spec.hostname).encode().replace(b"\n", b"\r\n")
    assert expected.startswith(shown)


def test_typing_is_echoed_and_can_be_corrected(healthy: ThreadedFleet) -> None:
    spec = spec_of(healthy, "cisco_ios")
    with terminal(healthy, spec) as screen:
        prompt = f"{spec.hostname}#".encode()
        screen.read_until(prompt)
        screen.type("show verb")
        screen.read_until(b"show verb")
        screen.type("\x7fsion\r\n")
        assert screen.read_until(b"\r\n") == b"\b \bsion\r\n"
        assert b"Processor board ID" in screen.read_until(prompt)
        screen.type("nonsense\x15\x03")
        assert screen.read_until(prompt).endswith(b"\b \b\r\n" + prompt)
        screen.type("exit\r")
        screen.read_to_the_end()


# Logging in.


@pytest.mark.parametrize("platform", WITH_ENABLE)
def test_enable_needs_the_right_secret(platform: str) -> None:
    spec = device_spec(platform, enable_secret="right-one")
    with fleet_in_thread(spec) as fleet:
        with ConnectHandler(**netmiko_arguments(fleet, spec)) as connection:
            assert not connection.check_enable_mode()
            connection.enable()
            assert connection.check_enable_mode()
            text = str(connection.send_command(CONFIG_COMMANDS[platform]))
        assert text.strip() == fleet.config(spec.hostname).strip()


@pytest.mark.parametrize("platform", WITH_ENABLE)
def test_enable_asks_three_times_and_tells_nobody_what_was_typed(platform: str) -> None:
    spec = device_spec(platform, enable_secret="right-one")
    dialect = DIALECTS[platform]
    prompt = dialect.prompt.format(host=spec.hostname, user=spec.username).encode()
    question = dialect.secret_prompt.format(user=spec.username).encode()
    with fleet_in_thread(spec) as fleet:
        with terminal(fleet, spec) as screen:
            screen.read_until(prompt)
            screen.type(f"{dialect.enable}\n")
            for _ in range(3):
                screen.read_until(question)
                screen.type("wrong-one\n")
            answer = screen.read_until(prompt)
            assert dialect.denied.strip().encode() in answer
            assert b"wrong-one" not in answer
        assert not any("-one" in command for command in fleet.log(spec.hostname)["commands"])


def test_without_enable_the_configuration_is_refused() -> None:
    spec = device_spec("cisco_ios", enable_secret="right-one")
    with fleet_in_thread(spec) as fleet:
        assert "% Invalid input" in read_with_netmiko(fleet, spec)
        assert fleet.log(spec.hostname)["config_reads"] == 0


def test_a_wrong_password_is_refused_and_counted() -> None:
    spec = device_spec("cisco_nxos")
    with fleet_in_thread(spec) as fleet:
        with pytest.raises(NetmikoAuthenticationException):
            ConnectHandler(**netmiko_arguments(fleet, spec, password="wrong"))
        log = fleet.log(spec.hostname)
    assert log["login_attempts"] >= 1
    assert log["logins"] == 0


def test_only_the_authorised_key_logs_in() -> None:
    right, wrong = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    spec = device_spec("vyos", authorized_key=right.export_public_key().decode().strip())

    async def login(key: asyncssh.SSHKey, address: tuple[str, int]) -> str:
        async with asyncssh.connect(
            *address,
            username=spec.username,
            client_keys=[key],
            known_hosts=None,
            agent_path=None,
            preferred_auth="publickey",
        ) as connection:
            return str((await connection.run("show version")).stdout)

    with fleet_in_thread(spec) as fleet:
        address = fleet.address(spec.hostname)
        assert "VyOS 1.4.0" in asyncio.run(login(right, address))
        with pytest.raises(asyncssh.PermissionDenied):
            asyncio.run(login(wrong, address))


# Faults.


@contextmanager
def faulty(kind: FaultKind, value: int = 0) -> Iterator[tuple[ThreadedFleet, DeviceSpec]]:
    spec = device_spec("cisco_ios", fault=Fault(kind, value))
    with fleet_in_thread(spec) as fleet:
        yield fleet, spec


@contextmanager
def reading(kind: FaultKind) -> Iterator[tuple[Terminal, bytes]]:
    """A terminal that has asked a faulty device for its configuration, and what is due to it."""
    with faulty(kind) as (fleet, spec), terminal(fleet, spec) as screen:
        screen.read_until(f"{spec.hostname}#".encode())
        screen.type("show running-config\n")
        screen.read_until(b"show running-config\r\n")
        wait_for(
            lambda: fleet.log(spec.hostname)["config_reads"] == 1, "the read of a configuration"
        )
        yield screen, fleet.config(spec.hostname).replace("\n", "\r\n").encode()


def test_hang_after_login() -> None:
    with faulty(FaultKind.HANG_AFTER_LOGIN) as (fleet, spec):
        with terminal(fleet, spec) as screen:
            screen.type("\n")
            assert screen.is_silent_for(0.5)
        assert fleet.log(spec.hostname)["logins"] == 1


def test_hang_mid_output() -> None:
    with reading(FaultKind.HANG_MID_OUTPUT) as (screen, whole):
        half = whole[: len(whole) // 2]
        assert screen.read_until(half[-200:]) == half
        screen.type("\n")
        assert not screen.seen
        assert screen.is_silent_for(0.5)


def test_drop_mid_output() -> None:
    with reading(FaultKind.DROP_MID_OUTPUT) as (screen, whole):
        assert screen.read_to_the_end() == whole[: len(whole) // 2]


def test_reset_mid_output() -> None:
    with faulty(FaultKind.RESET_MID_OUTPUT) as (fleet, spec), logged_in(fleet, spec) as transport:
        channel = transport.open_session()
        channel.exec_command("show running-config")
        assert len(Terminal(channel).read_to_the_end()) < len(fleet.config(spec.hostname))
        wait_for(lambda: not transport.is_active(), "the end of the connection")
        assert isinstance(transport.get_exception(), ConnectionResetError)


def test_hang_at_login_answers_no_password() -> None:
    with faulty(FaultKind.HANG_AT_LOGIN) as (fleet, spec):
        arguments = netmiko_arguments(fleet, spec, auth_timeout=0.5)
        with pytest.raises(NetmikoAuthenticationException, match="timeout"):
            ConnectHandler(**arguments)
        log = fleet.log(spec.hostname)
    assert (log["login_attempts"], log["logins"]) == (1, 0)


def test_long_banner_comes_before_the_log_in() -> None:
    seen = 0

    class Client(asyncssh.SSHClient):
        def auth_banner_received(self, msg: str, lang: str) -> None:
            nonlocal seen
            seen += len(msg)

    async def log_in(spec: DeviceSpec, address: tuple[str, int]) -> str:
        async with asyncssh.connect(
            *address,
            username=spec.username,
            password=spec.password,
            client_factory=Client,
            known_hosts=None,
            agent_path=None,
        ) as connection:
            return str((await connection.run("show version")).stdout)

    with faulty(FaultKind.LONG_BANNER, 200) as (fleet, spec):
        assert "Version" in asyncio.run(log_in(spec, fleet.address(spec.hostname)))
    assert 200_000 <= seen < 250_000


def test_drop_before_banner_ends_when_the_fault_ends() -> None:
    with faulty(FaultKind.DROP_BEFORE_BANNER) as (fleet, spec):
        with socket.create_connection(fleet.address(spec.hostname), WAIT_SECONDS) as plain:
            assert plain.recv(100) == b""
        fleet.set_fault(spec.hostname, None)
        with socket.create_connection(fleet.address(spec.hostname), WAIT_SECONDS) as plain:
            assert plain.recv(4) == b"SSH-"


def test_garbage_is_put_between_complete_lines() -> None:
    with reading(FaultKind.GARBAGE) as (screen, whole):
        output = screen.read_until(b"cisco-ios-1#").removesuffix(b"cisco-ios-1#")
    assert len(output) > len(whole)
    assert all(noise in output for noise in misbehaviour.NOISE)
    pairs = list(zip(output.splitlines(), whole.splitlines(), strict=True))
    assert all(mangled.endswith(line) for mangled, line in pairs)
    assert sum(mangled != line for mangled, line in pairs) == -(-len(pairs) // 7)


def test_lookalikes_equal_the_prompt_and_come_with_pauses() -> None:
    prompt = b"cisco-ios-1#"
    started = time.monotonic()
    with reading(FaultKind.LOOKALIKES) as (screen, whole):
        end = b"\r\nend\r\n" + prompt
        lines = (screen.read_until(end) + screen.read_until(end)).splitlines()
    assert time.monotonic() - started > 2 * misbehaviour.PAUSE_SECONDS
    texts = [line for line in lines if line != prompt]
    texts.remove(b"end")  # the quoted one
    assert texts == whole.splitlines()
    assert lines.count(prompt) == 4 + 1


def test_flood_never_ends_and_hurts_nobody_else() -> None:
    loud, calm = device_spec("cisco_ios", "loud"), device_spec("cisco_ios", "calm")
    with fleet_in_thread(loud, calm) as fleet:
        fleet.set_fault("loud", Fault(FaultKind.FLOOD))
        with terminal(fleet, loud) as screen:
            screen.type("show running-config\n")
            for _ in range(20):
                screen.read_until(b"\r\nend\r\n")
            assert b"loud#" not in screen.seen
            assert read_with_netmiko(fleet, calm).endswith("end")


def test_endless_line_has_no_line_end() -> None:
    with reading(FaultKind.ENDLESS_LINE) as (screen, whole):
        screen.read_until(whole[: len(whole) // 2])
        line = b""
        while len(line) < 3_000_000:
            line += screen.read_until(b"x" * 10_000)
    assert set(line[-2_900_000:]) == set(b"x")


def test_flood_stderr_ignores_the_window() -> None:
    with faulty(FaultKind.FLOOD_STDERR) as (fleet, spec), logged_in(fleet, spec) as transport:
        channel = transport.open_session(window_size=65_536)
        channel.set_combine_stderr(True)
        channel.invoke_shell()
        wait_for(lambda: len(channel.in_buffer) > 10 * 65_536, "ten windows of text")


def test_drip_is_one_byte_a_second() -> None:
    with reading(FaultKind.DRIP) as (screen, whole):
        screen.read_until(whole[:1])
        started = time.monotonic()
        screen.read_until(whole[1:3])
        assert 1.5 < time.monotonic() - started < 5


def test_auth_fail_refuses_the_right_password() -> None:
    with faulty(FaultKind.AUTH_FAIL) as (fleet, spec):
        with pytest.raises(NetmikoAuthenticationException):
            ConnectHandler(**netmiko_arguments(fleet, spec))
        fleet.set_fault(spec.hostname, None)
        assert read_with_netmiko(fleet, spec).endswith("end")


def test_truncated_lacks_the_end_marker_but_returns_to_the_prompt() -> None:
    with faulty(FaultKind.TRUNCATED) as (fleet, spec):
        lines = read_with_netmiko(fleet, spec).splitlines()
        rendered = fleet.config(spec.hostname).splitlines()
    assert "end" not in lines
    assert lines == rendered[: len(rendered) * 2 // 3]


def test_command_rejected() -> None:
    with faulty(FaultKind.COMMAND_REJECTED) as (fleet, spec):
        text = read_with_netmiko(fleet, spec)
        assert text.strip().splitlines()[-1] == "% Invalid input detected at '^' marker."
        assert len(text.splitlines()) < 5


def test_slow_delays_every_command() -> None:
    with (
        faulty(FaultKind.SLOW, 300) as (fleet, spec),
        terminal(fleet, spec) as screen,
    ):
        prompt = f"{spec.hostname}#".encode()
        screen.read_until(prompt)
        started = time.monotonic()
        screen.type("show version\nshow version\n")
        screen.read_until(prompt)
        assert time.monotonic() - started >= 0.3
        screen.read_until(prompt)
        assert time.monotonic() - started >= 0.6


def test_faults_hold_for_a_command_in_the_request() -> None:
    with faulty(FaultKind.TRUNCATED) as (fleet, spec):
        output = run_in_request(fleet, spec, "show running-config")
    assert len(output.splitlines()) == spec.lines * 2 // 3


def test_different_host_key_lasts_as_long_as_the_fault() -> None:
    spec = device_spec("juniper_junos")

    async def shown(address: tuple[str, int]) -> str:
        key = await asyncssh.get_server_host_key(*address)
        assert key is not None
        return key.get_fingerprint()

    with fleet_in_thread(spec) as fleet:
        address, own = fleet.address(spec.hostname), fleet.fingerprint(spec.hostname)
        assert asyncio.run(shown(address)) == own
        fleet.set_fault(spec.hostname, Fault(FaultKind.DIFFERENT_HOST_KEY))
        assert asyncio.run(shown(address)) != own
        fleet.set_fault(spec.hostname, None)
        assert asyncio.run(shown(address)) == own


def test_flaky_refuses_so_many_connections_and_then_works() -> None:
    with faulty(FaultKind.FLAKY, 2) as (fleet, spec):
        for _ in range(2):
            with socket.create_connection(fleet.address(spec.hostname), WAIT_SECONDS) as plain:
                assert plain.recv(100) == b""
        assert read_with_netmiko(fleet, spec).endswith("end")
        assert fleet.log(spec.hostname)["connections"] == 3


# Configurations.


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_change_shows_as_a_small_diff_with_a_new_secret(platform: str) -> None:
    spec = device_spec(platform, seed="changing")
    with fleet_in_thread(spec) as fleet:
        before = fleet.config(spec.hostname).splitlines()
        old_secrets = fleet.secrets(spec.hostname)
        sentences = fleet.change(spec.hostname)
        after = fleet.config(spec.hostname).splitlines()
        new_secrets = fleet.secrets(spec.hostname) - old_secrets
    changed = [
        line
        for line in difflib.unified_diff(before, after, n=0, lineterm="")
        if line.startswith(("+", "-")) and not VOLATILE[platform].match(line[1:])
    ]
    added = "\n".join(line for line in changed if line.startswith("+"))
    assert len(sentences) == 4
    assert 4 <= len(changed) <= 40
    assert any(secret in added for secret in new_secrets)
    server = sentences[2].split()[2]
    assert server in added


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_rotation_gives_another_text(platform: str) -> None:
    spec = device_spec(platform)
    with fleet_in_thread(spec) as fleet:
        for _ in range(4):
            known = fleet.secrets(spec.hostname)
            fleet.change(spec.hostname)
            new = fleet.secrets(spec.hostname) - known
            assert any(secret in fleet.config(spec.hostname) for secret in new)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_configuration_depends_on_its_seed_only(platform: str) -> None:
    spec = device_spec(platform, lines=500)
    other = device_spec(platform, f"{spec.hostname}-b", lines=500, seed="elsewhere")
    with fleet_in_thread(spec, other) as first, fleet_in_thread(spec) as second:
        texts = [fleet.config(spec.hostname) for fleet in (first, second)]
        assert stable_lines(texts[0], platform) == stable_lines(texts[1], platform)
        assert not first.secrets(spec.hostname) & first.secrets(other.hostname)
        assert spec.password not in texts[0]


def test_devices_of_one_site_share_their_community() -> None:
    specs = [device_spec("cisco_ios", "a"), device_spec("arista_eos", "b")]
    with fleet_in_thread(*specs) as fleet:
        communities = {
            re.findall(r"snmp-server community (\S+) (?i:ro)$", fleet.config(name), re.M)[0]
            for name in ("a", "b")
        }
    assert len(communities) == 1


@pytest.mark.parametrize(
    ("offset", "encoded"), [(2, "02050D480809"), (6, "060506324F41"), (9, "094F471A1A0A")]
)
def test_type7_is_what_cisco_prints(offset: int, encoded: str) -> None:
    assert encode_type7("cisco", offset) == encoded


def decode_junos9(text: str) -> str:
    """The way back from $9$: each clear character is a sum of weighted gaps."""
    families = ("QzF3n6/9CAtpu0O", "B1IREhcSyrleKvMW8LXx", "7N-dVbwsY2g4oaJZGUDj", "iHkq.mPf5T")
    weights = ((1, 4, 32), (1, 16, 32), (1, 8, 32), (1, 64), (1, 32), (1, 4, 16, 128), (1, 32, 64))
    alphabet = "".join(families)
    body = text.removeprefix("$9$")
    filler = 3 - next(number for number, family in enumerate(families) if body[0] in family)
    previous, rest, clear = body[0], body[1 + filler :], ""
    while rest:
        weight = weights[len(clear) % len(weights)]
        code = 0
        for character, factor in zip(rest, weight, strict=False):
            gap = (alphabet.index(character) - alphabet.index(previous)) % len(alphabet) - 1
            code += gap * factor
            previous = character
        clear, rest = clear + chr(code % 256), rest[len(weight) :]
    return clear


def test_junos_secrets_decode_to_their_clear_text() -> None:
    assert decode_junos9("$9$LbHX-wg4Z") == "lc"
    book = SecretBook("site", "mx1")
    for number in range(200):
        name = f"secret-{number}"
        assert decode_junos9(book.junos9(name)) == book.clear(name)


def test_secrets_do_not_show_in_representations() -> None:
    spec = device_spec("cisco_ios", enable_secret="hidden-enable")
    assert spec.password not in repr(spec)
    assert "hidden-enable" not in repr(spec)


# Many at once, and the process form.


def test_a_hundred_sessions_at_once() -> None:
    spec = device_spec("cisco_ios", lines=1500)
    count = 100

    async def read_all(address: tuple[str, int]) -> list[str]:
        everybody_in = asyncio.Barrier(count)

        async def read() -> str:
            async with asyncssh.connect(
                *address,
                username=spec.username,
                password=spec.password,
                known_hosts=None,
                agent_path=None,
                client_keys=None,
            ) as connection:
                await everybody_in.wait()
                return str((await connection.run("show running-config")).stdout)

        return await asyncio.gather(*(read() for _ in range(count)))

    with fleet_in_process(spec) as process:
        texts = asyncio.run(read_all(process.address(spec.hostname)))
        log = process.log(spec.hostname)
        whole = process.config(spec.hostname)
    assert len(set(texts)) == count, "each read has its own time"
    stable = {tuple(stable_lines(text, "cisco_ios")) for text in texts}
    assert stable == {tuple(stable_lines(whole, "cisco_ios"))}
    assert log["concurrent_max"] == log["config_sessions"] == count


def test_a_restart_keeps_the_host_keys_of_a_file(tmp_path: Path) -> None:
    spec = device_spec("linux")
    file = tmp_path / "host-keys.json"
    shown = []
    for key_file in (file, file, None):
        with fleet_in_thread(spec, host_key_file=key_file) as fleet:
            shown.append(fleet.fingerprint(spec.hostname))
    assert shown[0] == shown[1] != shown[2]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_process_is_controlled_over_its_pipes() -> None:
    spec = device_spec("cisco_ios", port=0)
    with fleet_in_process(spec) as process:
        before = process.config(spec.hostname)
        assert len(process.change(spec.hostname)) == 4
        assert process.config(spec.hostname) != before
        process.set_fault(spec.hostname, Fault(FaultKind.DROP_BEFORE_BANNER))
        with socket.create_connection(process.address(spec.hostname), WAIT_SECONDS) as plain:
            assert plain.recv(100) == b""
        process.set_fault(spec.hostname, None)
        with ConnectHandler(**netmiko_arguments(process, spec)) as connection:
            text = str(connection.send_command("show running-config"))
        assert text.strip() == process.config(spec.hostname).strip()
        assert process.log(spec.hostname)["connections"] == 2
        assert any(secret in text for secret in process.secrets(spec.hostname))
        with pytest.raises(SimulatorError, match="no device is called 'sw9'"):
            process.change("sw9")
        command_line = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert spec.password not in command_line
        pid = process.pid
    assert not Path(f"/proc/{pid}").exists()


def simulator_command(spec: Path) -> list[str]:
    return [sys.executable, "-m", "netraven_site.demo.simulator", "--spec", str(spec)]


def write_spec(path: Path, *specs: DeviceSpec) -> Path:
    path.touch(mode=0o600)
    path.write_text(json.dumps(fleet_document(specs)))
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, None])
def test_a_process_ends_on_a_signal_or_the_end_of_its_input(
    tmp_path: Path, number: signal.Signals | None
) -> None:
    command = simulator_command(write_spec(tmp_path / "fleet.json", device_spec("frr")))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["event"] == "listening"
        assert json.loads(process.stdout.readline()) == {"event": "ready", "devices": 1}
        process.stdin.write(b'not json\n{"fault": {"hostname": "frr-1", "kind": "bad"}}\n')
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        if number is None:
            process.stdin.close()
        else:
            process.send_signal(number)
        assert process.wait(WAIT_SECONDS) == 0
        assert process.stderr.read() == b""
    assert [answer["ok"] for answer in answers] == [False, False]
    assert "use one of: auth_fail" in answers[1]["error"]


def test_a_spec_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = write_spec(tmp_path / "fleet.json", device_spec("frr"))
    path.chmod(0o644)
    run = subprocess.run(
        simulator_command(path), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.decode() == f"{path} holds passwords: chmod 600 it (it is 644)\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"platform": "cisco_xyz"}, "unknown platform 'cisco_xyz'"),
        ({"lines": 10}, "'lines' has to be at least"),
        ({"lines": "many"}, "'lines' has to be a whole number"),
        ({"password": None}, "'password' has to be a text"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"fault": {"kind": "slow", "value": -1}}, "has to be a whole number above 0"),
        ({"authorized_key": "ssh-ed25519 ???"}, "'authorized_key' is no OpenSSH public key"),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = write_spec(tmp_path / "fleet.json", device_spec("frr"))
    document = json.loads(path.read_text())
    document["devices"][0].update(change)
    path.write_text(json.dumps(document))
    with pytest.raises(SimulatorError, match=re.escape(message)):
        read_fleet_spec(path)


def test_a_taken_port_is_named_and_stops_the_start() -> None:
    with fleet_in_thread(device_spec("frr", "first")) as fleet:
        address, port = fleet.address("first")
        specs = [device_spec("frr", "free"), device_spec("frr", "taken", port=port)]
        message = f"taken cannot listen on {address} port {port}"
        with pytest.raises(SimulatorError, match=message), fleet_in_thread(*specs):
            pass
        with pytest.raises(SimulatorError, match=message), fleet_in_process(*specs):
            pass


def test_a_failed_start_leaves_nothing_listening() -> None:
    async def start(port: int) -> None:
        half = Fleet([device_spec("frr", "free"), device_spec("frr", "taken", port=port)])
        with pytest.raises(SimulatorError, match="cannot listen"):
            await half.start()
        with pytest.raises(SimulatorError, match="free is not started"):
            half.address("free")

    with fleet_in_thread(device_spec("frr", "first")) as fleet:
        asyncio.run(start(fleet.address("first")[1]))
