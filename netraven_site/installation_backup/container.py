"""The file of a backup: a tar in a zstd frame in a sealed stream, written and read in one pass.

A section is a run of tar members ``NAME/000001``, ``NAME/000002``, … of a few MiB each, because
nobody knows how long a table is before it has been read.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final, cast

import zstandard

from credentials.sealed_stream import Opener, SealedReader, SealedWriter
from netraven_site.installation_backup.errors import BackupError

_MEMBER_BYTES: Final = 4 * 1024 * 1024
_DRAIN_BYTES: Final = 1024 * 1024
#: Level 1 keeps up with a disk; raw copies and packs are compressed already.
_LEVEL: Final = 1


class Section:
    """Takes the bytes of one section; its ``write`` is that of a file."""

    def __init__(self, tar: tarfile.TarFile, name: str) -> None:
        self._tar = tar
        self._name = name
        self._waiting = bytearray()
        self._members = 0
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take ``data``, and write a member whenever there is enough for one."""
        count = memoryview(data).nbytes
        self._waiting += data
        self.size += count
        while len(self._waiting) >= _MEMBER_BYTES:
            self._add_member(bytes(self._waiting[:_MEMBER_BYTES]))
            del self._waiting[:_MEMBER_BYTES]
        return count

    def end(self) -> None:
        """Write what is left; a section without bytes has one empty member."""
        if self._waiting or not self._members:
            self._add_member(bytes(self._waiting))

    def _add_member(self, payload: bytes) -> None:
        self._members += 1
        member = tarfile.TarInfo(f"{self._name}/{self._members:06}")
        member.size = len(payload)
        self._tar.addfile(member, io.BytesIO(payload))
        _forget_members(self._tar)


class BackupWriter:
    """Writes sections one after the other into ``target``, which stays open."""

    def __init__(self, target: IO[bytes], opener: Opener) -> None:
        self._sealed = SealedWriter(target, opener)
        compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._packed = compressor.stream_writer(cast("IO[bytes]", self._sealed), closefd=False)
        self._tar = tarfile.open(fileobj=self._packed, mode="w|")  # noqa: SIM115 - see finish

    @contextmanager
    def section(self, name: str) -> Iterator[Section]:
        """A section to write; it ends with the block."""
        section = Section(self._tar, name)
        yield section
        section.end()

    def add(self, name: str, text: str) -> None:
        """A section of a short text."""
        with self.section(name) as section:
            section.write(text.encode())

    def finish(self) -> None:
        """Complete the file."""
        self._tar.close()
        self._packed.close()
        self._sealed.finish()


def read_sections(
    source: io.BufferedReader, opener: Opener
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The sections of a backup with their pieces, which may be left unread.

    After the last one it is certain that the file is whole. Raises BackupError, and CipherError
    as ``SealedReader`` does.
    """
    sealed = io.BufferedReader(SealedReader(source, opener), _DRAIN_BYTES)
    try:
        with tarfile.open(
            fileobj=zstandard.ZstdDecompressor().stream_reader(sealed, closefd=False), mode="r|"
        ) as tar:
            members = _Members(tar)
            while members.name is not None:
                name = members.name
                yield name, members.of(name)
                for _ in members.of(name):
                    pass
        while sealed.read(_DRAIN_BYTES):
            pass
    except (tarfile.TarError, zstandard.ZstdError):
        raise BackupError("the file holds no backup of NetRaven that can be read") from None


class _Members:
    """The members of a tar, one at a time."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._next()

    def of(self, name: str) -> Iterator[bytes]:
        """The payloads of the members that come next, as long as they belong to ``name``."""
        while self.name == name and self._member is not None:
            file = self._tar.extractfile(self._member)
            yield file.read() if file is not None else b""
            self._next()

    def _next(self) -> None:
        self._member = self._tar.next()
        _forget_members(self._tar)
        self.name = self._member.name.rpartition("/")[0] if self._member else None


def _forget_members(tar: tarfile.TarFile) -> None:
    """A tar remembers each of its members, which would grow with the backup."""
    tar.members.clear()  # type: ignore[attr-defined]
