"""Where an answer of a command line ends, and what of it is echo, pager or prompt: bytes only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import Pager

#: How much of the end of an answer is looked at.
TAIL_BYTES = 1024
_ESCAPE = rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>78]"
_ESCAPES = re.compile(_ESCAPE)
#: Signs that prompts end in.
_TERMINATORS = b">#$%:])}"
#: A shorter prompt is only taken for one at the start of a line.
_GLUED_LENGTH = 4
_DIGIT = re.compile(rb"\d")
_LINE_END = re.compile(rb"[\r\n]")
#: LF, or "next line" (ECMA-48), which some devices paint their echo with.
_ECHO_END = re.compile(rb"\n|\x1bE")
#: A line that may be a prompt when nothing is known of it yet. A colon is none: it ends questions.
_LOOKS_LIKE_PROMPT = re.compile(rb"[^\s][^\r\n]{0,200}?[>#$%\]][ \t]*\Z|[>#$%][ \t]*\Z")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt of one session."""

    #: As the device printed it, without blanks around it.
    text: bytes
    #: Matched at the start of a line without blanks around it; reaches to its end.
    pattern: re.Pattern[bytes]

    @classmethod
    def of(cls, platform: PlatformDefinition, text: bytes) -> Prompt:
        """The prompt that ``platform`` describes, or that reads like ``text``.

        What stands between the name and the sign may change: modes, hosts in a cluster.
        """
        if platform.prompt is not None:
            return cls(text, re.compile(platform.prompt.pattern.encode()))
        name = text.rstrip(_TERMINATORS)
        if not name.strip():
            return cls(text, re.compile(re.escape(text) + rb"\Z"))
        tail = rb"[^\r\n]{0,80}[" + re.escape(_TERMINATORS) + rb"]\Z"
        return cls(text, re.compile(re.escape(name) + tail))

    @property
    def name(self) -> str:
        """The prompt without the sign at its end; empty where there is nothing else."""
        return self.text.rstrip(_TERMINATORS).strip().decode("utf-8", "replace")

    def start_in(self, answer: bytearray) -> int | None:
        """Where in ``answer`` the prompt at its end begins, or None without one."""
        line, start = last_line(answer)
        if self.pattern.match(line.strip()):
            return start
        # A text without a line end at its own end stands right in front of the prompt.
        if len(self.text) >= _GLUED_LENGTH and line.rstrip().endswith(self.text):
            return _start_of_end(answer, self.text)
        return None

    def matches(self, line: bytes) -> bool:
        """Whether ``line``, without blanks around it, is this prompt."""
        return self.pattern.match(line) is not None


def last_line(answer: bytes | bytearray) -> tuple[bytes, int]:
    """The last line without control sequences, and where it starts in ``answer``."""
    tail = bytes(answer[-TAIL_BYTES:])
    start = max(tail.rfind(b"\r"), tail.rfind(b"\n")) + 1
    return plain(tail[start:]), len(answer) - len(tail) + start


def last_text_line(answer: bytes | bytearray, end: int) -> tuple[bytes, int]:
    """The last line of ``answer[:end]`` that is not empty, and where it starts.

    Plain, without blanks around it, and no more of it than its last ``TAIL_BYTES``.
    """
    low = max(end - TAIL_BYTES, 0)
    body = bytes(answer[low:end]).rstrip(b"\r\n")
    start = max(body.rfind(b"\r"), body.rfind(b"\n")) + 1
    return plain(body[start:]).strip(), low + start


def _start_of_end(answer: bytearray, text: bytes) -> int | None:
    """Where ``text``, at the end of ``answer``, starts; it may be painted in several colours."""
    hidden = rb"(?:" + _ESCAPE + rb"|\x00)*+"
    letters = (re.escape(text[place : place + 1]) for place in range(len(text)))
    painted = hidden + hidden.join(letters) + rb"(?:" + _ESCAPE + rb"|[\s\x00])*+\Z"
    tail = bytes(answer[-TAIL_BYTES:])
    found = re.search(painted, tail)
    return None if found is None else len(answer) - len(tail) + found.start()


def plain(data: bytes) -> bytes:
    """``data`` without control sequences and NUL."""
    return _ESCAPES.sub(b"", data).replace(b"\x00", b"")


def lines_of(answer: bytes | bytearray) -> list[bytes]:
    """The lines of ``answer`` without control sequences, blanks around them, and empty ones."""
    lines = (line.strip() for line in _LINE_END.split(plain(bytes(answer))))
    return [line for line in lines if line]


def looks_like_prompt(answer: bytes | bytearray, platform: PlatformDefinition) -> bool:
    """Whether ``answer`` ends in what may be a prompt."""
    line = last_line(answer)[0].strip()
    if platform.prompt is not None:
        return re.match(platform.prompt.pattern.encode(), line) is not None
    return _LOOKS_LIKE_PROMPT.match(line) is not None


def waits_for_key(answer: bytes | bytearray, pager: Pager) -> bool:
    """Whether ``answer`` ends in the mark of a pager."""
    line = last_line(answer)[0].decode("utf-8", "replace")
    return bool(line.strip()) and pager.mark.match(line) is not None


def without_echo(answer: bytes, command: str, prompt: bytes = b"") -> bytes:
    """``answer`` without the echoed ``command`` at its head.

    Some releases of NX-OS print ``prompt`` and command once more below it; these go as well.
    """
    for line_end in _ECHO_END.finditer(answer, 0, TAIL_BYTES + 2 * len(command)):
        if holds_echo(answer[: line_end.start()], command):
            return _without_repetition(answer[line_end.end() :], prompt + command.encode())
    return b"" if holds_echo(answer, command) and not _ECHO_END.search(answer) else answer


def _without_repetition(answer: bytes, line: bytes) -> bytes:
    body = answer.lstrip(b"\r\n")
    first, line_end, rest = body.partition(b"\n")
    is_repeated = line_end and _compact(first) == _compact(line)
    return rest if is_repeated else answer


def _compact(data: bytes) -> bytes:
    return b"".join(plain(data).split())


def shape_of(line: bytes) -> bytes:
    """``line`` with its digits made alike: what stands above a prompt may be a clock."""
    return _DIGIT.sub(b"0", line)


def without_last_lines(answer: bytes, shapes: frozenset[bytes]) -> bytes:
    """``answer`` without those of its last lines whose shape is among ``shapes``."""
    return answer[: end_without(answer, len(answer), shapes)]


def end_without(answer: bytes | bytearray, end: int, shapes: frozenset[bytes]) -> int:
    """``end`` of ``answer``, moved in front of its last lines whose shape is among ``shapes``."""
    while shapes:
        line, start = last_text_line(answer, end)
        if not line or shape_of(line) not in shapes:
            break
        end = start
    return end


def holds_echo(answer: bytes | bytearray, command: str) -> bool:
    """Whether the device has echoed ``command``, wherever the terminal broke the line."""
    head = bytes(answer[: TAIL_BYTES + 2 * len(command)])
    return _compact(command.encode()) in _compact(head)
