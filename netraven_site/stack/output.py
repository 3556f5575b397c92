"""What the processes of the stack print: kept in bounded log files, shown with a name prefix."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

_FILE_BYTES = 10 * 1024 * 1024
_OLD_FILES = 1
_LINE_BYTES = 8192


class _LogFile(RotatingFileHandler):
    """A log file that never stops the process whose output it takes."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        # The disk is full or the file is gone. The pipe must be read on, or the process blocks;
        # the line is still shown on the terminal.
        pass


class ProcessLog:
    """The output of one process over all its restarts: ``NAME.log``, at most 20 MB."""

    def __init__(self, name: str, directory: Path, echo: Callable[[str], None] | None) -> None:
        """``echo`` gets each line with the name before it; None keeps the terminal quiet."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = directory / f"{name}.log"
        self._name = name
        self._echo = echo
        self._last: deque[str] = deque(maxlen=1)
        self._file = _LogFile(self.path, maxBytes=_FILE_BYTES, backupCount=_OLD_FILES)
        self._reader: threading.Thread | None = None

    def follow(self, stream: IO[bytes] | None) -> None:
        """Take all lines of ``stream`` until it ends, in a thread.

        Raises RuntimeError if the system has no thread left; the stream is closed then.
        """
        if stream is None:
            return
        reader = threading.Thread(
            target=self._read, args=(stream,), name=f"log-{self._name}", daemon=True
        )
        try:
            reader.start()
        except RuntimeError:
            stream.close()
            raise
        self._reader = reader

    def last_line(self) -> str:
        """The last line with text in it; empty when there was none."""
        return self._last[-1] if self._last else ""

    def close(self) -> None:
        """Finish the file; the process has ended."""
        if self._reader is not None:
            self._reader.join(timeout=1)
        self._file.close()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := stream.readline(_LINE_BYTES):
                line = printable(chunk.decode("utf-8", "replace").rstrip())
                if line:
                    self._take(line)

    def _take(self, line: str) -> None:
        self._last.append(line)
        self._file.handle(logging.makeLogRecord({"msg": line}))
        if self._echo is not None:
            self._echo(f"[{self._name}] {line}")


def printable(text: str) -> str:
    """``text`` without control characters: a log line must not steer the terminal."""
    return "".join(
        char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def tolerant(write: Callable[[str], None]) -> Callable[[str], None]:
    """``write``, silent once its reader has gone: a closed terminal must not stop the stack."""

    def write_if_possible(line: str) -> None:
        with suppress(OSError, ValueError):  # a broken pipe; a closed file
            write(line)

    return write_if_possible
