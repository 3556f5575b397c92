"""Whether what a session brought may be trusted to be the whole configuration.

A configuration quotes things: errors in descriptions, pagers in banners, commands in aliases. So
what is looked for counts only where a device puts it and a configuration does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from backups.engine.line_gate import LineGate
from backups.engine.outputs import output_text
from backups.engine.types import CommandOutput
from inventory.platforms.definition import COMMON_PAGER, PlatformDefinition

#: Lines at the head of an answer in which a CLI error counts, because nothing came before it.
HEAD_LINES = 5
#: Lines up to which an answer that holds a CLI error is taken for nothing but that error.
SHORT_LINES = 12
#: Lines at the end of an answer among which the end marker has to stand.
TAIL_LINES = 10
#: An answer with this many error lines, and as many in a hundred, is full of them. A banner that
#: quotes an error has fewer.
MANY_ERRORS = 5
#: What is quoted may be this long, so that a hostile device cannot fill a message.
QUOTED_LENGTH = 120
#: Characters of a line that are looked at.
_LINE_HEAD = 1000
#: A shorter prompt also begins comments.
_PROMPT_LENGTH = 3
#: Lines over which a terminal may have broken the echo of a long command.
_ECHO_LINES = 4

_PAGER = re.compile(
    r"^[ \t]*(?:-+ ?\(?more\b[^\n]{0,40}\)? ?-*|<-+ ?more ?-+>"
    r"|lines \d+-\d+(?:/\d+)?(?: \(END\))?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
# A marker that was not erased stands in front of the line that followed it.
_PAGER_GLUED = re.compile(
    r"^[ \t]*-{2,} ?\(?more(?: \d{1,3}%)?\)? ?-{2,}", re.IGNORECASE | re.MULTILINE
)
# A sentence that a banner may hold once; a pager prints it again and again.
_PAGER_SENTENCE = re.compile(
    r"^[ \t]*press any key to continue[^\n]{0,40}$", re.IGNORECASE | re.MULTILINE
)
#: One of them stands in whatever the three patterns above match.
_PAGER_WORDS = ("more", "lines ", "press any key")
#: The line with which a command line points at the word that it did not understand.
_POINTER = re.compile(r"[ \t]*\^[ \t]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one command, as ``clean_text`` gives it."""

    command: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeLimit:
    """How small a text may be, compared with the last good one.

    Both sizes are measured alike: UTF-8 bytes of the normalised and redacted text. So neither
    line ends, pagers and volatile lines nor the length of tokens make a difference.
    """

    size: int
    #: None without a last good one.
    previous_size: int | None
    #: Share of ``previous_size`` below which a text is suspect; 0 switches the check off.
    minimum_share: float


def answer_of(platform: PlatformDefinition, output: CommandOutput) -> Answer:
    """``output`` as it is checked."""
    return Answer(command=output.command, text=output_text(platform, output))


def suspicions(
    platform: PlatformDefinition,
    answers: Sequence[Answer],
    *,
    prompt: str | None = None,
    limit: SizeLimit | None = None,
) -> list[str]:
    """Why ``answers`` are not to be trusted; an empty list says that they are.

    ``answers`` are those of the running-config commands, ``prompt`` is the prompt of the session.
    Each reason is one plain sentence that says what was seen; it may quote a line of the device,
    bounded but not redacted.
    """
    if not any(answer.text.strip() for answer in answers):
        return ["The device printed nothing."]
    reasons = [reason for answer in answers for reason in _of_one(platform, answer, prompt)]
    if not _has_end(platform, answers):
        reasons.append("The end of the configuration is missing; the output was cut off.")
    reasons += _too_small(limit)
    return reasons


def rejection(platform: PlatformDefinition, text: str) -> str | None:
    """The error line that the device printed if the whole answer is no more than an error.

    None means that the answer is something else, however bad. The line is shortened to
    ``QUOTED_LENGTH`` characters.
    """
    lines = [line for line in text.split("\n", SHORT_LINES + 1) if line.strip()]
    if len(lines) > SHORT_LINES or (platform.end_markers and _ends(platform, text)):
        return None
    return next((_quoted(line) for line in lines if _is_error(platform, line)), None)


def _of_one(platform: PlatformDefinition, answer: Answer, prompt: str | None) -> Iterator[str]:
    """The reasons that one answer gives by itself."""
    if not answer.text.strip():
        if not _is_optional(platform, answer.command):
            yield f"The device printed nothing for '{_quoted(answer.command)}'."
        return
    lines = [line for line in answer.text.split("\n") if line.strip()]
    yield from _errors(platform, answer.text, lines)
    yield from _intruder(platform, answer.text, lines)
    if _is_echo(lines, answer.command):
        yield f"The output begins with the command '{_quoted(answer.command)}' itself."
    if _has_pager_marks(platform, lines, answer.text):
        yield "The output holds marks of a pager; paging was not switched off."
    yield from _prompt_inside(lines, prompt)


def _is_optional(platform: PlatformDefinition, asked: str) -> bool:
    """Whether a device without what the command shows may answer with nothing."""
    return any(
        command.optional and asked in (command.command, *command.fallback)
        for command in platform.commands
    )


def _errors(platform: PlatformDefinition, text: str, lines: Sequence[str]) -> Iterator[str]:
    """Errors at the head, at the end, pointed at, or in great number; at most one reason.

    A single error line in the middle may be a quotation, so it does not count.
    """
    head = next((line for line in lines[:HEAD_LINES] if _is_error(platform, line)), None)
    if head is not None:
        yield f"The output begins with an error of the device: {_quoted(head)}"
        return
    if _is_error(platform, lines[-1]):
        yield f"The output ends with an error of the device: {_quoted(lines[-1])}"
        return
    errors = _matching(platform.error_patterns, text, lines)
    for number in errors:
        if _POINTER.fullmatch(lines[number - 1][:_LINE_HEAD]):
            yield f"The output holds an error of the device: {_quoted(lines[number])}"
            return
    if len(errors) >= max(MANY_ERRORS, MANY_ERRORS * len(lines) // 100):
        yield f"The output holds {len(errors)} errors of the device: {_quoted(lines[errors[0]])}"


def _intruder(platform: PlatformDefinition, text: str, lines: Sequence[str]) -> Iterator[str]:
    for number in _matching(platform.never_in_config, text, lines)[:1]:
        yield f"The output holds what no whole configuration does: {_quoted(lines[number])}"


def _is_error(platform: PlatformDefinition, line: str) -> bool:
    patterns = platform.error_patterns
    return bool(patterns) and _gate(patterns).matches(line[:_LINE_HEAD])


def _matching(patterns: tuple[re.Pattern[str], ...], text: str, lines: Sequence[str]) -> list[int]:
    """Numbers of the ``lines`` of ``text`` that begin as one of ``patterns`` says."""
    if not patterns:
        return []
    gate = _gate(patterns)
    if next(gate.spans(text), None) is None:
        return []
    return [number for number, line in enumerate(lines) if gate.matches(line[:_LINE_HEAD])]


@lru_cache(maxsize=512)
def _gate(patterns: tuple[re.Pattern[str], ...]) -> LineGate:
    return LineGate(patterns)


def _has_end(platform: PlatformDefinition, answers: Sequence[Answer]) -> bool:
    """Whether an answer ends as a configuration of the platform does.

    Where several commands make the configuration, not all of them print the marker.
    """
    return not platform.end_markers or any(_ends(platform, answer.text) for answer in answers)


def _ends(platform: PlatformDefinition, text: str) -> bool:
    tail = [line for line in text.rstrip().rsplit("\n", 4 * TAIL_LINES)[1:] if line.strip()]
    return any(
        marker.match(line[:_LINE_HEAD])
        for line in tail[-TAIL_LINES:]
        for marker in platform.end_markers
    )


def _is_echo(lines: Sequence[str], command: str) -> bool:
    """Whether the first lines are the command, wherever the terminal broke it."""
    wanted = "".join(command.split())
    head = ""
    for line in lines[:_ECHO_LINES]:
        head += "".join(line[:_LINE_HEAD].split())
        if head == wanted:
            return True
    return False


def _has_pager_marks(platform: PlatformDefinition, lines: Sequence[str], text: str) -> bool:
    # The patterns take milliseconds for a text, and other letters than ASCII have other cases.
    folded = text.lower() if text.isascii() else None
    if folded is None or any(word in folded for word in _PAGER_WORDS):
        if _PAGER.search(text) or _PAGER_GLUED.search(text):
            return True
        if len(_PAGER_SENTENCE.findall(text)) > 1:
            return True
    if platform.pager is COMMON_PAGER:
        return False
    return any(platform.pager.mark.match(line[:_LINE_HEAD]) for line in lines)


def _prompt_inside(lines: Sequence[str], prompt: str | None) -> Iterator[str]:
    """A line in which a command was typed behind the prompt: two answers in one.

    A bare prompt does not count: a line of the configuration may read like it.
    """
    if prompt is None or len(prompt) < _PROMPT_LENGTH or not any(map(str.isalnum, prompt)):
        return
    typed = re.compile(re.escape(prompt) + r"[ \t]*\w")
    shown = (line for line in lines if prompt in line)
    line = next((line for line in shown if typed.match(line[:_LINE_HEAD].lstrip())), None)
    if line is not None:
        yield f"The prompt of the device stands inside the output: {_quoted(line)}"


def _too_small(limit: SizeLimit | None) -> Iterator[str]:
    if limit is None or not limit.previous_size:
        return
    if limit.size >= limit.previous_size * limit.minimum_share:
        return
    share = round(100 * limit.size / limit.previous_size)
    yield (
        f"The output has {share} % of the size of the last good one "
        f"({limit.size} of {limit.previous_size} bytes)."
    )


def _quoted(line: str) -> str:
    return line.strip()[:QUOTED_LENGTH]
