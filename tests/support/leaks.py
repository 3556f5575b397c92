"""Looking for secrets where none may be, in every form in which one may hide there."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import redis
from psycopg import sql

_WATCH_SECONDS = 0.03
_LONGEST_LINE = 1024 * 1024
_COMPRESSED_AT = 64


class Secrets:
    """Values that may not be found: in plain, in Base64 and in hex."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = frozenset(values)
        self._forms = {form: value for value in self.values for form in _forms(value)}

    def found_in(self, data: bytes) -> set[str]:
        """Those of the values that stand in ``data`` in any form."""
        return {value for form, value in self._forms.items() if form in data}

    def found_in_files(self, directory: Path) -> dict[str, set[str]]:
        """The values by file, for each file below ``directory`` that holds any."""
        return _not_empty(
            (str(path), self.found_in(path.read_bytes()))
            for path in directory.rglob("*")
            if path.is_file()
        )

    def found_in_git(self, repository: Path) -> dict[str, set[str]]:
        """The values in patches, messages, names and in every object, reachable or not."""
        git = ["git", f"--git-dir={repository}"]
        commands = {
            "log": ["log", "--all", "-p", "--format=raw"],
            "objects": ["cat-file", "--batch-all-objects", "--batch", "--unordered"],
        }
        texts = {
            name: subprocess.run([*git, *command], capture_output=True, check=True).stdout
            for name, command in commands.items()
        }
        assert all(texts.values()), "the repository is empty"
        return _not_empty((name, self.found_in(text)) for name, text in texts.items())

    def found_in_database(self, url: str) -> dict[str, set[str]]:
        """The values by column, over all rows of all tables; sealed columns are no exception."""
        return _not_empty(
            (column, self.found_in(value) | self.found_in(_decompressed(value)))
            for column, value in _database_values(url)
        )

    def found_in_redis(self, url: str) -> dict[str, set[str]]:
        """The values by key."""
        with redis.Redis.from_url(url) as client:
            return _not_empty((key, self.found_in(value)) for key, value in _redis_values(client))


class Watch:
    """Everything that was seen while something ran."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()

    def text(self) -> bytes:
        return b"\n".join(self.seen)


@contextmanager
def watched_arguments() -> Iterator[Watch]:
    """The command lines of all processes of this machine, read again and again."""
    watch, end = Watch(), threading.Event()

    def run() -> None:
        while not end.wait(_WATCH_SECONDS):
            watch.seen |= _command_lines()

    with _thread(run, end):
        yield watch


@contextmanager
def watched_redis(url: str) -> Iterator[Watch]:
    """Every command that any client sends to the Redis server."""
    watch, end = Watch(), threading.Event()
    client = redis.Redis.from_url(url, decode_responses=False)
    with client, client.monitor() as monitor:

        def run() -> None:
            while not end.is_set():
                if monitor.connection.can_read(timeout=_WATCH_SECONDS):
                    watch.seen.add(monitor.connection.read_response(disable_decoding=True))

        with _thread(run, end):
            yield watch


@contextmanager
def _thread(run: Callable[[], None], end: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(10)


def _forms(value: str) -> Iterator[bytes]:
    plain = value.encode()
    yield plain
    yield plain.hex().encode()
    for shift in range(3):  # Base64 of a text depends on where in it the value begins
        encoded = base64.b64encode(b"\0" * shift + plain)
        first = (8 * shift + 5) // 6
        yield encoded[first : (8 * (shift + len(plain))) // 6]


def _not_empty(found: Iterable[tuple[str, set[str]]]) -> dict[str, set[str]]:
    by_place: dict[str, set[str]] = {}
    for place, values in found:
        if values:
            by_place.setdefault(place, set()).update(values)
    return by_place


def _decompressed(data: bytes) -> bytes:
    """What zlib makes of ``data`` from any of its first bytes on."""
    parts = []
    for start in range(min(_COMPRESSED_AT, len(data))):
        try:
            parts.append(zlib.decompressobj().decompress(data[start:]))
        except zlib.error:
            continue
    return b"\n".join(parts)


def _database_values(url: str) -> Iterator[tuple[str, bytes]]:
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        ).fetchall()
        for table, column in columns:
            name = sql.Identifier(column)
            query = sql.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL")
            rows = connection.execute(query.format(name, sql.Identifier(table), name))
            for (value,) in rows:
                data = value if isinstance(value, bytes) else str(value).encode()
                yield f"{table}.{column}", data


def _redis_values(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    readers: dict[bytes, Callable[[bytes], object]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": client.xrange,
    }
    for key in client.scan_iter():
        kind = client.type(key)
        assert isinstance(kind, bytes)  # the client decodes nothing
        if kind == b"none":  # it has just gone
            continue
        yield key.decode(errors="replace"), key + repr(readers[kind](key)).encode()


def _command_lines() -> set[bytes]:
    # Without Path: it takes twice the time, and this runs beside all tests of a folder.
    lines = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # it has just ended
            file = os.open(f"/proc/{entry.name}/cmdline", os.O_RDONLY)
            try:
                lines.add(os.read(file, _LONGEST_LINE))
            finally:
                os.close(file)
    return lines
