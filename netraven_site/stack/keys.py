"""The keys of an embedded installation: generated once, kept in the data directory."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from credentials.cipher import generate_key

_FILE_NAME = "keys.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedKeys:
    """What the embedded stack needs to keep secret; nothing of it has a default."""

    secret_key: str = field(repr=False)
    encryption_keys: str = field(repr=False)
    redaction_key: str = field(repr=False)
    redis_password: str = field(repr=False)
    flower_password: str = field(repr=False)

    @classmethod
    def exist(cls, data_dir: Path) -> bool:
        """Whether the keys of ``data_dir`` were made already."""
        return (data_dir / _FILE_NAME).exists()

    @classmethod
    def load_or_create(cls, data_dir: Path) -> EmbeddedKeys:
        """The keys of ``data_dir``, made on the first call; safe in many processes at once.

        Raises ValueError when the file is damaged, or missing although a database is there that
        was encrypted with it; OSError when the directory cannot be used.
        """
        path = data_dir / _FILE_NAME
        if not path.exists():
            _refuse_orphaned_database(data_dir, path)
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(path, cls._generate())
        return cls._read(path)

    @classmethod
    def _generate(cls) -> EmbeddedKeys:
        return cls(
            secret_key=secrets.token_urlsafe(48),
            encryption_keys=generate_key("k1"),
            redaction_key=secrets.token_urlsafe(32),
            redis_password=secrets.token_urlsafe(24),
            flower_password=secrets.token_urlsafe(12),
        )

    @classmethod
    def _read(cls, path: Path) -> EmbeddedKeys:
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ValueError(
                f"{path}: the generated keys cannot be read; restore the file from a backup"
            ) from None


def _refuse_orphaned_database(data_dir: Path, path: Path) -> None:
    if (data_dir / "postgres").exists():
        raise ValueError(
            f"{path} is missing, but there is a database that was encrypted with it; "
            "restore the file from a backup"
        )


def _write_once(path: Path, keys: EmbeddedKeys) -> None:
    """Write the file whole, or not at all when another process was first."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".keys-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(keys), file, indent=1)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        Path(temporary).unlink()
