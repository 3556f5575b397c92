"""How faulty devices mangle their output."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR, MSG_CHANNEL_EXTENDED_DATA
from asyncssh.packet import String, UInt32

NOISE = (
    b"\x1b[2K\x1b[1;31m",
    b"\x00\x00",
    b"\xff\xfe\x80",
    b"\x1b]0;title\x07",
    b"\xc3\x28\x08",
    b"\x1b]52;c;Y3VybCBldmlsLmV4YW1wbGU=\x07",
    "\u202e\u2066".encode(),
)
"""What `garbled` puts between the lines, in turn."""
NOISE_EVERY = 7
"""How many lines lie between two pieces of noise."""
PAUSE_SECONDS = 0.5
"""How long a device stops behind a line that looks like its prompt."""
_LINE_PIECE = b"x" * 32_000
_STDERR_BYTES = 500_000_000
_STDERR_SECONDS = 0.0005
"""Between two pieces, as nothing else slows down a sender that ignores the window."""

Write = Callable[[bytes], None]


def half(output: bytes) -> bytes:
    """The first half, cut anywhere."""
    return output[: len(output) // 2]


def truncated(output: bytes) -> bytes:
    """The first two thirds, cut between lines, so without what ends the text."""
    lines = output.splitlines(keepends=True)
    return b"".join(lines[: len(lines) * 2 // 3])


def garbled(output: bytes) -> bytes:
    """All of it, with binary noise in front of every seventh line."""
    lines = output.splitlines(keepends=True)
    for number, index in enumerate(range(0, len(lines), NOISE_EVERY)):
        lines[index] = NOISE[number % len(NOISE)] + lines[index]
    return b"".join(lines)


def with_lookalikes(output: bytes, prompt: bytes) -> list[bytes]:
    """The output with lines that equal the prompt, in parts between which the device pauses.

    Two of them follow each other without a pause, one is complete but for its line end when the
    device pauses, and one with it; in front of the last the text quotes its own end.
    """
    lines = output.splitlines(keepends=True)
    quarter = len(lines) // 4
    first, second, third = (
        b"".join(lines[start : start + quarter]) for start in range(0, 3 * quarter, quarter)
    )
    line = prompt.strip() + b"\r\n"
    return [
        first + line + line + second + prompt.strip(),
        b"\r\n" + third + lines[-1] + line,
        b"".join(lines[3 * quarter :]),
    ]


async def flood(output: bytes, write: Write, writable: asyncio.Event) -> None:
    """Print the output again and again, as fast as it is taken."""
    while True:
        await writable.wait()
        write(output)
        await asyncio.sleep(0)


async def endless_line(output: bytes, write: Write, writable: asyncio.Event) -> None:
    """Print half of the output, and then one line without end, as fast as it is taken."""
    write(half(output))
    await flood(_LINE_PIECE, write, writable)


async def flood_stderr(channel: asyncssh.SSHServerChannel[bytes]) -> None:
    """Print to standard error, whether the client has room for it or not (RFC 4254 section 5.2)."""
    packet = UInt32(EXTENDED_DATA_STDERR), String(_LINE_PIECE)
    for _ in range(_STDERR_BYTES // len(_LINE_PIECE)):
        channel.send_packet(MSG_CHANNEL_EXTENDED_DATA, *packet)
        await asyncio.sleep(_STDERR_SECONDS)


async def drip(output: bytes, write: Write, _writable: asyncio.Event) -> None:
    """Print one byte per second."""
    for index in range(len(output)):
        write(output[index : index + 1])
        await asyncio.sleep(1)
