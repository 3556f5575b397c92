"""A session with one device: Netmiko's driver with our own way of reading."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from typing import Any

from netmiko.base_connection import BaseConnection
from netmiko.channel import Channel
from netmiko.exceptions import NetmikoBaseException

from backups.engine.answers import (
    Prompt,
    end_without,
    last_line,
    last_text_line,
    lines_of,
    looks_like_prompt,
    plain,
    shape_of,
    waits_for_key,
    without_echo,
    without_last_lines,
)
from backups.engine.collector import NO_GUARD, LogInGuard, LogInStep, SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector.channel import BoundedChannel
from backups.engine.netmiko_collector.room import ROOM, Place
from backups.engine.normalise import clean_text
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import PrivilegedMode, Role

#: Silence that is enough where a mistake is found out: after the mark of a pager, and after a
#: prompt that is asked for again.
_GLANCE_SECONDS = 0.05
#: Silence after which a device that showed no prompt yet is nudged with an empty line.
_NUDGE_SECONDS = 1.0
#: How much of the end of what was said is searched for a question.
_QUESTION_BYTES = 4096

#: Lines of one answer that may look like the prompt while the device pauses behind them.
_MAX_CONFIRMATIONS = 100
#: How often a session that waits for room looks after its connection.
_ROOM_SECONDS = 0.1
_BARE_PROMPT = r"^[>#$%] *$"
NO_PROMPT = "the device did not show its prompt in time after the log-in"
_ASKS_FOR_ENABLE = (
    "the device asks for an enable secret and the credential has none; add it, or give the "
    "account privilege level 15"
)
_REFUSED_ENABLE = "the device did not accept the enable secret; check it in the credential"


class Session(BaseConnection):
    """What is added to each Netmiko driver, whatever the transport."""

    def __init__(
        self,
        *,
        platform: PlatformDefinition,
        limits: SessionLimits,
        guard: LogInGuard = NO_GUARD,
        **arguments: Any,
    ) -> None:
        self._platform = platform
        self._limits = limits
        self._guard = guard
        self._prompt = Prompt.of(platform, b"")
        self._greeting = b""
        #: What the device may still ask before its first prompt.
        self._unanswered = list(platform.questions)
        #: Shapes of the lines above each prompt: modes, roles in a cluster, a clock.
        self._context: frozenset[bytes] = frozenset()
        #: Whether Netmiko has to look for a prompt that is nothing but a sign.
        self._is_bare = False
        self._place = Place(ROOM)
        #: Bytes of the answers that are complete.
        self._kept = 0
        self._ends_at = time.monotonic() + limits.deadline
        super().__init__(auto_connect=False, **arguments)

    @property
    def host_key(self) -> str | None:
        """The key of the device to remember, as ``"type base64"``; None where there is none."""
        return None

    @property
    def greeting(self) -> str:
        """The end of what the device said up to its first prompt."""
        return clean_text(self._greeting)

    @property
    def prompt_text(self) -> str:
        """The prompt that was learned at the log-in, without blanks around it."""
        return self._prompt.text.decode("utf-8", "replace")

    @property
    def channel(self) -> BoundedChannel:
        """The channel that Netmiko opened, with our bounds around it."""
        return self._bounded

    @channel.setter
    def channel(self, opened: Channel) -> None:
        self._bounded = self._bound(opened)

    @abstractmethod
    def _bound(self, opened: Channel) -> BoundedChannel:
        """``opened`` with our bounds around it."""

    def cleanup(self, command: str = "") -> None:
        """Nothing to clean up: no configuration mode was entered; the transport is closed."""

    def disconnect(self) -> None:
        """See Netmiko."""
        super().disconnect()
        self._place.leave()

    def log_in(self, credential: DeviceCredential) -> None:
        """Log in, prepare the terminal and reach the mode that the commands need.

        Raises DeviceError, and whatever Netmiko and Paramiko raise.
        """
        self._modify_connection_params()
        self.establish_connection()
        self._guard.reached(LogInStep.LOGIN)
        self._answer_questions()
        if self._platform.driver_prepares:
            self._try_session_preparation()
        self._greeting = self.channel.intake.tail
        self._learn_prompt()
        self._guard.reached(LogInStep.PROMPT)
        if self._enter_privileged_mode(credential):
            self._learn_prompt()
            self._guard.reached(LogInStep.ENABLE)
        for command in self._platform.preparation:
            self.ask(command, role=None)

    def ask(self, command: str, *, role: Role | None) -> bytes:
        """The bytes that the device prints for ``command``, without echo and prompt.

        ``role`` is None for a command that prepares the session. Raises DeviceError.
        """
        self._drain()
        self.channel.intake.expect(self._limits.max_output_bytes)
        self.write_channel(self.normalize_cmd(command))
        answer = bytearray()
        end = self._read_to_prompt(answer, command)
        if role is not None:
            end = self._confirmed_end(answer, command, end)
        del answer[end:]
        text = without_last_lines(bytes(answer), self._context)
        answer.clear()
        self._kept += len(text)
        return without_echo(text, command, self._prompt.text)

    def _confirmed_end(self, answer: bytearray, command: str, end: int) -> int:
        """Where the last prompt of ``answer`` starts, after an empty line brought nothing else.

        A line of the text may look like the prompt, and the device may pause right behind it; what
        looks like the answer may still be the end of an earlier one. No silence tells these from
        the end, but an empty line does: its prompt comes after everything else.
        """
        for asked in range(_MAX_CONFIRMATIONS):
            self.write_channel(self.RETURN)
            more = bytearray()
            start = self._read_to_prompt(more, command)
            if all(self._is_around_prompt(line) for line in lines_of(more)):
                return self._end_before_answers(answer, end, asked)
            end = len(answer) + start
            answer += more
        raise DeviceError(
            ErrorCategory.READ_TIMEOUT,
            f"the end of '{command}' cannot be told from its text; describe the device's prompt in "
            "the definition of its platform",
        )

    def _is_around_prompt(self, line: bytes) -> bool:
        return self._prompt.matches(line) or shape_of(line) in self._context

    def _end_before_answers(self, answer: bytearray, end: int, asked: int) -> int:
        """``end`` without the prompts with which a device that was busy answered empty lines.

        They stand behind the text, in front of ``end``; there are ``asked`` of them at the most.
        """
        for _ in range(asked):
            line, start = last_text_line(answer, end_without(answer, end, self._context))
            if not self._prompt.matches(line):
                break
            end = start
        return end

    def _read_to_prompt(self, answer: bytearray, command: str) -> int:
        """Fill ``answer`` up to what looks like the prompt, and give where that starts in it."""
        while self._more(answer, self._limits.command_timeout):
            self._turn_page(answer)
            start = self._prompt.start_in(answer)
            if start is not None:
                return start
        raise DeviceError(
            ErrorCategory.READ_TIMEOUT,
            f"the device did not finish '{command}' within {self._limits.command_timeout:g} s "
            "of silence",
        )

    def _turn_page(self, answer: bytearray) -> None:
        """Press the key if the device stops at the mark of its pager."""
        while waits_for_key(answer, self._platform.pager):
            if not self._more(answer, _GLANCE_SECONDS):
                self.write_channel(self._platform.pager.key)
                return

    def _more(self, answer: bytearray, timeout: float) -> bool:
        """Add what comes within ``timeout`` seconds of silence; False when nothing came."""
        chunk = self.channel.read_bytes(timeout)
        self._wait_for_room()
        answer += chunk
        return bool(chunk)

    def _wait_for_room(self) -> None:
        """Read on when there is memory for it, or when the session is at its end anyway."""
        size = self._kept + self.channel.intake.received
        while not self._place.hold(size, _ROOM_SECONDS):
            self.channel.refuse_excess()
            if self._limits.cancellation.cancelled or time.monotonic() > self._ends_at:
                return

    def _drain(self) -> None:
        while self.channel.read_buffer():
            continue

    def _answer_questions(self) -> None:
        """Answer what the device asks before its first prompt."""
        said = bytearray()
        while self._unanswered and self._more(said, _NUDGE_SECONDS):
            if not self._answer(said) and looks_like_prompt(said, self._platform):
                return

    def _answer(self, said: bytearray) -> bool:
        """Answer what ``said`` asks, and empty it; False if it asks nothing."""
        answer = self._take_answer(said)
        if answer is None:
            return False
        self.write_channel(answer + self.RETURN)
        said.clear()
        return True

    def _take_answer(self, said: bytes | bytearray) -> str | None:
        """The answer to what ``said`` asks, given once; None if it asks nothing."""
        if not self._unanswered:
            return None
        text = plain(bytes(said[-_QUESTION_BYTES:])).decode("utf-8", "replace")
        found = next((entry for entry in self._unanswered if entry.pattern.search(text)), None)
        if found is None:
            return None
        self._unanswered.remove(found)
        return found.answer

    def _learn_prompt(self) -> None:
        """Find out the prompt, and make sure of it: an empty line has to bring it again."""
        give_up = time.monotonic() + self._limits.login_timeout
        said = bytearray(self.channel.intake.tail)
        self._read_to_any_prompt(said, None, give_up)
        expected = None
        while not self._is_same_prompt(shown := last_line(said)[0].strip(), expected):
            expected = shown
            self.write_channel(self.RETURN)
            said.clear()
            self._read_to_any_prompt(said, expected, give_up)
        self._prompt = Prompt.of(self._platform, shown)
        self._context = frozenset(shape_of(line) for line in lines_of(said)[:-1])

    def _is_same_prompt(self, shown: bytes, expected: bytes | None) -> bool:
        if expected is None or shown == expected:
            return shown == expected
        # Some prompts count the lines that were entered.
        described = self._platform.prompt is not None
        return described and all(
            looks_like_prompt(one, self._platform) for one in (shown, expected)
        )

    def _read_to_any_prompt(self, said: bytearray, expected: bytes | None, give_up: float) -> None:
        """Add to ``said`` until its last line is ``expected`` or looks like a prompt.

        A slow device asks its questions while the prompt is waited for.
        """
        quiet_since = time.monotonic()
        heard = bytearray()
        while time.monotonic() < give_up:
            before = len(said)
            spoke = self._more(said, _GLANCE_SECONDS)
            heard += said[before:]
            line = last_line(said)[0].strip()
            if line == expected:
                return
            if not spoke and self._answer(heard):
                said.clear()
                spoke = True
            elif not spoke and self._may_be_prompt(line):
                return
            if spoke:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _NUDGE_SECONDS:
                self.write_channel(self.RETURN)
                quiet_since = time.monotonic()
        raise DeviceError(ErrorCategory.READ_TIMEOUT, NO_PROMPT)

    def _may_be_prompt(self, line: bytes) -> bool:
        known = self.base_prompt.strip().encode()
        return looks_like_prompt(line, self._platform) or (bool(known) and line.startswith(known))

    def _enter_privileged_mode(self, credential: DeviceCredential) -> bool:
        """Enter the privileged mode if the platform wants it; False if there was nothing to do."""
        mode = self._platform.privileged_mode
        if mode is PrivilegedMode.NEVER or self._prompt.text.endswith(b"#"):
            return False
        secret = credential.enable_secret
        if mode is PrivilegedMode.IF_SECRET_GIVEN and secret is None:
            return False
        # A refused secret is asked for again, and Netmiko would wait for another prompt.
        self.read_timeout_override = self._limits.login_timeout
        self.ansi_escape_codes = True  # some devices paint their prompt
        self.base_prompt = self._prompt.name
        self._is_bare = not self._prompt.name
        try:
            self.enable()  # without a secret as well: devices in a lab often ask for none
        except (ValueError, NetmikoBaseException) as error:
            if mode is PrivilegedMode.IF_SECRET_GIVEN and self._knows_no_enable():
                return False
            raise DeviceError(
                ErrorCategory.ENABLE, _ASKS_FOR_ENABLE if secret is None else _REFUSED_ENABLE
            ) from error
        finally:
            self.read_timeout_override = None
        return True

    def enable_secret_handler(
        self, pattern: str, output: str, re_flags: int = re.IGNORECASE
    ) -> str:
        """See Netmiko, which takes "% No password set" for a question.

        At the prompt the secret would be a command: echoed, logged, looked up as a host name.
        """
        while self.channel.read_bytes(_GLANCE_SECONDS):
            continue
        if looks_like_prompt(self.channel.intake.tail, self._platform):
            return ""
        return super().enable_secret_handler(pattern, output, re_flags)

    def read_until_prompt(self, *arguments: Any, **options: Any) -> str:
        """See Netmiko, which has no idea of a prompt that is nothing but a sign."""
        if not self._is_bare:
            return super().read_until_prompt(*arguments, **options)
        return self.read_until_pattern(pattern=_BARE_PROMPT, re_flags=re.MULTILINE)

    def read_until_prompt_or_pattern(
        self, pattern: str = "", *arguments: Any, **options: Any
    ) -> str:
        """See ``read_until_prompt``."""
        if not self._is_bare:
            return super().read_until_prompt_or_pattern(pattern, *arguments, **options)
        flags = options.get("re_flags", 0) | re.MULTILINE
        return self.read_until_pattern(pattern=f"{pattern}|{_BARE_PROMPT}", re_flags=flags)

    def _knows_no_enable(self) -> bool:
        text = clean_text(self.channel.intake.tail)
        return any(pattern.search(text) for pattern in self._platform.error_patterns)
