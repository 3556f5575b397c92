"""The file of an installation backup: sections of any length with little memory."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

from credentials.cipher import Cipher
from netraven_site.installation_backup.container import BackupWriter, read_sections

CIPHER = Cipher({"k1": bytes(range(32))})
MEBIBYTE = 1024 * 1024


def write(path: Path, sections: dict[str, list[bytes]]) -> None:
    with path.open("wb") as file:
        writer = BackupWriter(file, CIPHER)
        for name, pieces in sections.items():
            with writer.section(name) as section:
                for piece in pieces:
                    section.write(piece)
        writer.finish()


def test_sections_come_back_in_their_order_read_or_not(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    write(path, {"a": [b"x" * 9 * MEBIBYTE, b"y"], "b": [], "c": [b"last"]})
    with path.open("rb") as file:
        read = {name: b"".join(pieces) for name, pieces in read_sections(file, CIPHER)}
    assert read == {"a": b"x" * 9 * MEBIBYTE + b"y", "b": b"", "c": b"last"}
    with path.open("rb") as file:
        assert [name for name, _ in read_sections(file, CIPHER)] == ["a", "b", "c"]


def test_memory_does_not_grow_with_the_backup(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    piece = io.BytesIO(bytes(range(256)) * 4096).getvalue()
    tracemalloc.start()
    try:
        write(path, {"large": [piece] * 80})
        with path.open("rb") as file:
            for _, pieces in read_sections(file, CIPHER):
                assert sum(map(len, pieces)) == 80 * MEBIBYTE
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * MEBIBYTE
