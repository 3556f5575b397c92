"""How faulty devices mangle their output."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_NOISE = (
    b"\x1b[2K\x1b[1;31m",
    b"\x00\x00",
    b"\xff\xfe\x80",
    b"\x1b]0;title\x07",
    b"\xc3\x28\x08",
)
_NOISE_EVERY = 7

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
    for number, index in enumerate(range(0, len(lines), _NOISE_EVERY)):
        lines[index] = _NOISE[number % len(_NOISE)] + lines[index]
    return b"".join(lines)


async def flood(output: bytes, write: Write, writable: asyncio.Event) -> None:
    """Print the output again and again, as fast as it is taken."""
    while True:
        await writable.wait()
        write(output)
        await asyncio.sleep(0)


async def drip(output: bytes, write: Write) -> None:
    """Print one byte per second."""
    for index in range(len(output)):
        write(output[index : index + 1])
        await asyncio.sleep(1)
