"""How a session reads what comes in pieces.

The channel is a stand-in: when pieces arrive, and when there is silence, cannot be told to a real
connection.
"""

from __future__ import annotations

from typing import cast

import pytest

from backups.engine.collector import SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector.channel import BoundedChannel, Intake
from backups.engine.netmiko_collector.host_keys import HostKeyPolicy
from backups.engine.netmiko_collector.ssh import SSHSession
from backups.engine.types import HostKeyMode
from inventory.platforms import get_platform
from inventory.platforms.definition import Role

SILENCE = b""
LIMITS = SessionLimits(
    connect_timeout=1, login_timeout=1, command_timeout=1, deadline=9, max_output_bytes=10_000
)


class Pieces:
    """A channel that gives one piece for each reading."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.intake = Intake(10_000)
        self.written: list[str] = []

    def read_bytes(self, timeout: float) -> bytes:
        """The next piece, whatever the time."""
        return self._pieces.pop(0) if self._pieces else SILENCE

    def read_buffer(self) -> str:
        """Nothing was left over."""
        return ""

    def write_channel(self, text: str) -> None:
        """Remember what is typed."""
        self.written.append(text)


def over(channel: Pieces, platform: str = "generic") -> SSHSession:
    """A session over ``channel``."""
    session = SSHSession(
        platform=get_platform(platform),
        limits=LIMITS,
        policy=HostKeyPolicy(None, HostKeyMode.TOFU, host="the device"),
        client_arguments={"pkey": None},
        host="192.0.2.1",
        device_type="cisco_ios",
    )
    session._bounded = cast(BoundedChannel, channel)
    return session


def asked(*pieces: bytes) -> tuple[bytes, list[str]]:
    """The answer to a command that comes in ``pieces``, and what was typed meanwhile."""
    channel = Pieces(b"sw1#", SILENCE, b"\r\nsw1#", *pieces)
    session = over(channel)
    session._learn_prompt()
    channel.written.clear()
    return session.ask("show run", role=Role.RUNNING), channel.written


def test_the_key_is_pressed_once_the_mark_stands_alone() -> None:
    text, typed = asked(
        *(b"show run\r\na\r\n--More--", b"\x1b[m", SILENCE),
        *(b"\r        \rb\r\nsw1#", b"\r\nsw1#"),
    )
    assert typed == ["show run\n", " ", "\n"]
    assert text.endswith(b"b\r\n")


def test_a_mark_that_text_follows_needs_no_key() -> None:
    text, typed = asked(b"show run\r\n--More--", b" is text\r\nsw1#", b"\r\nsw1#")
    assert typed == ["show run\n", "\n"]
    assert text == b"--More-- is text\r\n"


def test_pieces_that_end_like_the_prompt_are_read_on() -> None:
    text, _ = asked(
        *(b"show run\r\nbanner sw1#", b"\r\nnext\r\nsw1#", b"\r\nend\r\nsw1#"),
        *(b"\r\nsw1#", b"\r\nsw1#", b"\r\nsw1#"),
    )
    assert text.splitlines()[:4] == [b"banner sw1#", b"next", b"sw1#", b"end"]


def test_a_device_that_never_stops_showing_its_prompt_is_given_up() -> None:
    pieces = [b"text %d\r\nsw1#" % number for number in range(300)]
    with pytest.raises(DeviceError, match="cannot be told from its text") as caught:
        asked(b"show run\r\na\r\nsw1#", *pieces)
    assert caught.value.category is ErrorCategory.READ_TIMEOUT


@pytest.mark.parametrize(
    ("platform", "question", "answer"),
    [
        ("fortinet", b"(Press 'a' to accept):", "a"),
        ("huawei", b"The password needs to be changed. Change now? [Y/N]", "N"),
        (
            "paloalto_panos",
            b"Do you accept and acknowledge the statement above? (yes/no) : ",
            "yes",
        ),
    ],
)
def test_a_question_that_comes_late_is_answered(
    platform: str, question: bytes, answer: str
) -> None:
    shown = b"\r\na@fw1> "
    channel = Pieces(b"Welcome\r\n", SILENCE, question, SILENCE, shown, SILENCE, shown)
    session = over(channel, platform)
    session._answer_questions()
    session._learn_prompt()
    assert channel.written == [f"{answer}\n", "\n"]
    assert session.prompt_text == "a@fw1>"
