"""One stack per data directory: a lock that ends with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from netraven_site.stack.errors import StackError

_FILE_NAME = "up.lock"


class DataDirectoryLock:
    """Held from ``acquire`` to ``release`` or to the end of the process, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises StackError while another process has it."""
        path = self._data_dir / _FILE_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise StackError(
                f"NetRaven already runs in {self._data_dir} (process {holder}); stop it first, "
                "or set NETRAVEN_DATA_DIR to another directory"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
