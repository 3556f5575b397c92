"""The release before this version, taken from the history of this repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
VERSION = "0.1.0"
#: What the tag of that version names; copies of a repository do not always have its tags.
_REVISION = "17e766de2816e0df0b88cfb44c66f53c8aa9f0b1"


def is_known() -> bool:
    """Whether the history reaches back to it, which that of a shallow copy may not."""
    return _git("cat-file", "-e", f"{_REVISION}^{{commit}}").returncode == 0


def check_out(directory: Path) -> None:
    """Put its files into a directory that does not exist yet."""
    archive = _git("archive", "--format=tar", _REVISION)
    archive.check_returncode()
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(directory, filter="data")


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=_PROJECT, capture_output=True, check=False)
