"""Where the running embedded stack can be reached: written by ``up``, read by every command."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

_FILE_NAME = "stack.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState:
    """Addresses of one running stack. The URLs hold passwords; the file has mode 0600."""

    #: Process id of ``manage.py up``.
    pid: int
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    web_url: str
    flower_url: str

    def write(self, data_dir: Path) -> None:
        """Publish the state in ``data_dir``, whole or not at all."""
        descriptor, temporary = tempfile.mkstemp(dir=data_dir, prefix=".stack-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
        Path(temporary).replace(data_dir / _FILE_NAME)

    @classmethod
    def read(cls, data_dir: Path) -> StackState | None:
        """The state of the running stack, or None when none runs."""
        try:
            state = cls(**json.loads((data_dir / _FILE_NAME).read_text(encoding="utf-8")))
            os.kill(state.pid, 0)
        except (OSError, ValueError, TypeError):
            return None
        return state

    @staticmethod
    def remove(data_dir: Path) -> None:
        """Withdraw the state; a missing file is fine."""
        (data_dir / _FILE_NAME).unlink(missing_ok=True)
