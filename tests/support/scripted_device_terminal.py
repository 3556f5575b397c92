"""The command line of a scripted device: keys in, bytes out, whatever the connection."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.support.scripted_device_script import Question, Recording

ENABLE_SECRET = "Enable-1-secret"

_EXITS = frozenset({"exit", "quit", "logout"})
_NUL, _CTRL_C, _BACKSPACE, _LF, _CR, _CTRL_U, _CTRL_Z, _DELETE = 0, 3, 8, 10, 13, 21, 26, 127
_LINE_END = re.compile(r"\r?\n")


class Terminal:
    """One session, from the greeting to ``exit``.

    Args:
        recording: the device.
        first: whether this is the first log-in on it.
        heard: is told every command; never a password.
    """

    def __init__(self, recording: Recording, *, first: bool, heard: Callable[[str], None]) -> None:
        self._recording = recording
        self._script = recording.script
        self._first = first
        self._heard = heard
        self._questions = list(recording.script.questions)
        self._line = bytearray()
        self._out = bytearray()
        self._rest: list[str] = []
        self._paging = recording.script.pager is not None
        self._privileged = False
        self._asks_password = False
        self._after_cr = False
        #: Whether the device has ended the session.
        self.ended = False

    def start(self) -> bytes:
        """What the device prints after the log-in."""
        self._print(self._script.greeting)
        self._ask_or_prompt()
        return self._printed()

    def feed(self, typed: bytes) -> bytes:
        """What the device prints while ``typed`` arrives."""
        for key in typed:
            if self.ended:
                break
            second_half_of_enter = self._after_cr and key in (_LF, _NUL)
            self._after_cr = key == _CR
            if not second_half_of_enter:
                self._key(_CR if key == _LF else key)
        return self._printed()

    def _key(self, key: int) -> None:
        if self._rest:
            self._pager_key(key)
        elif self._question is not None and not self._question.enter:
            self._answered(self._question.answer and chr(key))
        elif key == _CR:
            self._enter()
        elif key in (_BACKSPACE, _DELETE):
            self._rub_out(1)
        elif key == _CTRL_U:
            self._rub_out(len(self._line))
        elif key in (_CTRL_C, _CTRL_Z):
            self._interrupted()
        elif key >= 32:
            self._line.append(key)
            if self._echoes:
                self._out.append(key)

    @property
    def _question(self) -> Question | None:
        return self._questions[0] if self._questions else None

    @property
    def _echoes(self) -> bool:
        if self._asks_password or not self._script.echo:
            return False
        return self._question is None or self._question.echo

    def _rub_out(self, count: int) -> None:
        count = min(count, len(self._line))
        del self._line[len(self._line) - count :]
        if self._echoes:
            self._out += b"\b \b" * count

    def _interrupted(self) -> None:
        self._line.clear()
        self._asks_password = False
        self._print("\n")
        self._ask_or_prompt()

    def _enter(self) -> None:
        line = self._line.decode("utf-8", "replace")
        self._line.clear()
        self._print("\n")
        if self._questions:
            self._answered(line)
        elif self._asks_password:
            self._password(line)
        else:
            self._command(line.strip())

    def _answered(self, answer: str) -> None:
        if answer == self._questions[0].answer:
            del self._questions[0]
        self._ask_or_prompt()

    def _password(self, password: str) -> None:
        self._asks_password = False
        self._privileged = password == ENABLE_SECRET
        self._print("" if self._privileged else "% Access denied\n")
        self._ask_or_prompt()

    def _command(self, command: str) -> None:
        if not command:
            self._ask_or_prompt()
            return
        self._heard(command)
        enable = self._script.enable
        if enable is not None and command == enable.command:
            self._enable(enable.password_prompt)
            return
        if enable is not None and command in enable.only_privileged and not self._privileged:
            self._show(self._script.unknown)
            return
        self._run(command)

    def _enable(self, password_prompt: str) -> None:
        if password_prompt and not self._privileged:
            self._asks_password = True
            self._print(password_prompt)
            return
        self._privileged = True
        self._ask_or_prompt()

    def _run(self, command: str) -> None:
        text = self._recording.text(command, first=self._first)
        pager = self._script.pager
        if pager is not None and command in pager.off:
            self._paging = False
            self._show(text or "")
        elif text is None and command in _EXITS:
            self.ended = True
        else:
            self._show(self._script.unknown if text is None else text)

    def _show(self, text: str) -> None:
        """Print the answer to a command: whole lines, by pages where the device pages."""
        lines = _LINE_END.sub("\n", text).removesuffix("\n").split("\n") if text else []
        pager = self._script.pager
        self._rest = lines
        self._show_lines(pager.lines if pager is not None and self._paging else len(lines))

    def _show_lines(self, count: int) -> None:
        shown, self._rest = self._rest[:count], self._rest[count:]
        for line in shown:
            self._print(f"{line}\n")
        if self._rest and self._script.pager is not None:
            self._print(self._script.pager.mark)
        else:
            self._ask_or_prompt()

    def _pager_key(self, key: int) -> None:
        pager = self._script.pager
        assert pager is not None  # nothing is held back without one
        pressed = chr(key)
        if pressed == ("\r" if pager.key == "\n" else pager.key):
            count = pager.lines
        elif key == _CR:
            count = 1
        elif pressed in "qQ" or key == _CTRL_C:
            count = 0
        else:
            return
        self._print(pager.erase)
        if not count:
            self._rest = []
        self._show_lines(count)

    def _ask_or_prompt(self) -> None:
        if self._question is not None:
            self._print(self._question.ask)
            return
        enable = self._script.enable
        privileged = enable is not None and self._privileged
        self._print(enable.prompt if enable is not None and privileged else self._script.prompt)

    def _print(self, text: str) -> None:
        self._out += _LINE_END.sub("\r\n", text).encode("utf-8")

    def _printed(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out
