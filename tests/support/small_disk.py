"""File systems of their own for tests, whose disk can be full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

#: Others write while a disk is made small; the rest is filled then.
_ROOM_MEANWHILE = 8_000_000


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system in memory at ``directory``, which holds ``size`` bytes."""

    directory: Path
    size: int

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no space in it while the block runs."""
        status = os.statvfs(self.directory)
        self._resize((status.f_blocks - status.f_bfree) * status.f_frsize + _ROOM_MEANWHILE)
        filler = self.directory / "filler"
        try:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            yield
        finally:
            filler.unlink()
            self._resize(self.size)

    def _resize(self, size: int) -> None:
        command = ["mount", "-o", f"remount,size={size}", str(self.directory)]
        subprocess.run(command, check=True, capture_output=True)


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Disk | None]:
    """Make ``directory`` a file system of its own; None, and no more than a directory, if not root.

    It is in memory, and takes what is written to it.
    """
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)]
    if subprocess.run(command, capture_output=True).returncode:
        yield None
        return
    try:
        yield Disk(directory, size)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
