"""Files with raw configurations: whole or not at all, and for one user alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from django.core.management.base import CommandError


def write_private_file(path: Path, payload: bytes) -> None:
    """Put ``payload`` into ``path``, mode 0600; what was there before is replaced at the end.

    Raises CommandError with the reason; nothing is left behind then.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".netraven-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
