"""Backup and restore of NetRaven itself: from one file to a working installation elsewhere."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import zstandard
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection

from backups.engine.git.command import OutputSink
from backups.engine.git.copying import references
from backups.engine.git.maintenance import MAINTENANCE
from backups.engine.git.turn import alone
from backups.models import Snapshot
from backups.selectors.git import git_store
from backups.services.artefacts import artefact_store
from credentials.sealed_stream import SealedReader, SealedWriter
from credentials.services import credential_set_secrets, installation_cipher
from inventory.models import Device
from netraven_site.audit_seals import audit_verify
from netraven_site.config import PROJECT_DIR
from netraven_site.installation_backup import create, tables
from netraven_site.installation_backup.connection import long_transaction
from netraven_site.models import AuditSeal
from tests.factories import CredentialFactory, DeviceFactory
from tests.support.git_repository import run_git
from tests.support.stored import delete_objects, store, store_some

pytestmark = pytest.mark.django_db(transaction=True)
_TARGET = "netraven_restored"


@pytest.fixture
def target() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An empty database on another machine, so to speak."""
    server = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(server.geturl(), autocommit=True) as maintenance:
        maintenance.execute(f"DROP DATABASE IF EXISTS {_TARGET} WITH (FORCE)")
        maintenance.execute(f"CREATE DATABASE {_TARGET}")
        url = server._replace(path=f"/{_TARGET}").geturl()
        with psycopg.connect(url, autocommit=True) as opened:
            yield opened
        maintenance.execute(f"DROP DATABASE {_TARGET} WITH (FORCE)")


def created(folder: Path, *options: str) -> Path:
    path = folder / "netraven.backup"
    call_command("backup_create", str(path), *options, stdout=io.StringIO())
    return path


def elsewhere(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of manage.py on the empty machine."""
    return python_elsewhere(folder, "manage.py", *arguments)


def python_elsewhere(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    keys = [f"NETRAVEN_{key}" for key in ("SECRET_KEY", "ENCRYPTION_KEYS", "REDACTION_KEY")]
    server = urlsplit(os.environ["DATABASE_URL"])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT_DIR,
        env={
            **{name: os.environ[name] for name in ("PATH", *keys)},
            "DATABASE_URL": server._replace(path=f"/{_TARGET}").geturl(),
            "NETRAVEN_DATA_DIR": str(folder / "elsewhere"),
            "DJANGO_SETTINGS_MODULE": "netraven_site.settings",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def rows(opened: psycopg.Connection[tuple[object, ...]]) -> dict[str, list[bytes]]:
    """All rows of all tables that are copied."""
    found = {}
    with opened.cursor() as cursor:
        for table, columns in tables.tables_of(cursor).items():
            sink = io.BytesIO()
            tables.copy_out(cursor, table, columns, sink)
            found[table] = sorted(sink.getvalue().splitlines())
    return found


def own_rows() -> dict[str, list[bytes]]:
    with long_transaction() as opened:
        return rows(opened)


@pytest.mark.slow
def test_an_empty_machine_becomes_the_one_that_was_saved(
    target: psycopg.Connection[tuple[object, ...]], git_directory: Path, tmp_path: Path
) -> None:
    store_some()
    device = Device.objects.earliest("pk")
    artefact_store(device=device, name="vlan.dat", payload=os.urandom(5_000_000))
    credential = CredentialFactory.create()
    credential_set_secrets(credential=credential, password="CANARY-PASSWORD")
    DeviceFactory.create().delete()
    before, path = own_rows(), created(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600

    done = elsewhere(tmp_path, "backup_restore", str(path))

    assert done.returncode == 0, done.stderr
    assert "nothing is wrong" in done.stdout
    after = rows(target)
    # What was restored has been checked, and that is written down.
    assert (before.pop("backups_storecheck"), len(after.pop("backups_storecheck"))) == ([], 1)
    assert after == before
    assert references(tmp_path / "elsewhere" / "configs.git") == references(git_directory)
    hostname = device.hostname
    assert "+interface Vlan2" in elsewhere(tmp_path, "config", "diff", hostname).stdout
    # Numbers of rows that were deleted stand in commits: they are not given out again.
    with long_transaction() as opened, opened.cursor() as cursor:
        wanted = tables.sequences_of(cursor, before)
    with target.cursor() as cursor:
        assert tables.sequences_of(cursor, before) == wanted
    again = elsewhere(tmp_path, "backup_restore", str(path))
    assert again.returncode == 1
    assert "the database is in use" in again.stderr


_BACKUP_OF_EARLIER = """
import sys, django
django.setup()
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
path, = sys.argv[1:]
executor = MigrationExecutor(connection)
graph = executor.loader.graph
(newest,) = graph.leaf_nodes("jobs")
later = set(graph.backwards_plan(newest))
plan = executor.migration_plan(graph.leaf_nodes())
earlier = [step for step in plan if (step[0].app_label, step[0].name) not in later]
executor.migrate(None, plan=earlier)
print(newest[1])
call_command("backup_create", path)
"""


@pytest.mark.slow
def test_a_backup_of_an_earlier_version_is_brought_up_to_this_one(
    target: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    path = tmp_path / "old.backup"
    done = python_elsewhere(tmp_path, "-c", _BACKUP_OF_EARLIER, str(path))
    assert done.returncode == 0, done.stderr
    newest = ("jobs", done.stdout.split()[0])
    with target.cursor() as cursor:
        assert newest not in tables.migrations_of(cursor)
    target.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    done = elsewhere(tmp_path, "backup_restore", str(path))

    assert done.returncode == 0, done.stderr
    with target.cursor() as cursor:
        assert newest in tables.migrations_of(cursor)


# --- in this process, into the tables of the test ------------------------------------------------


@pytest.fixture
def saved(git_directory: Path, tmp_path: Path) -> Path:
    """A backup of a few devices, whose installation is gone since."""
    store_some(devices=2, revisions=2)
    path = created(tmp_path)
    lose_all(git_directory)
    return path


def lose_all(git_directory: Path) -> None:
    with long_transaction() as opened, opened.cursor() as cursor:
        names = ", ".join(tables.tables_of(cursor).keys() - tables.FILLED_BY_SETUP)
        cursor.execute(f"TRUNCATE {names}")
    git_directory.rename(git_directory.with_name("lost.git"))


def restore(path: Path, *options: str) -> str:
    out = io.StringIO()
    call_command("backup_restore", str(path), *options, stdout=out)
    return out.getvalue()


def is_empty(git_directory: Path) -> bool:
    return not Snapshot.objects.exists() and references(git_directory) == {}


def test_what_was_lost_is_back(saved: Path, git_directory: Path) -> None:
    assert "nothing is wrong" in restore(saved)
    assert Snapshot.objects.count() == 4
    assert {entry.name for entry in git_directory.iterdir()} >= {"HEAD", "objects", "refs"}
    assert not list(git_directory.glob("replaced-*"))


def test_the_audit_log_comes_back_with_its_seals(saved: Path) -> None:
    """The trigger that seals new entries leaves alone those that were sealed before."""
    restore(saved)
    key = os.environ["NETRAVEN_REDACTION_KEY"]
    assert LogEntry.objects.exists()
    assert audit_verify(keys=[key]).problems == []
    entries = LogEntry.objects.count()
    DeviceFactory.create()
    assert AuditSeal.objects.count() == LogEntry.objects.count() > entries


def test_a_restore_that_died_before_its_commit_is_done_again(
    saved: Path, git_directory: Path
) -> None:
    git_directory.with_name("lost.git").rename(git_directory)
    assert "nothing is wrong" in restore(saved)


def test_check_writes_nothing(saved: Path, git_directory: Path) -> None:
    assert "is whole" in restore(saved, "--check")
    assert is_empty(git_directory)


def test_a_file_that_was_cut_off_writes_nothing(saved: Path, git_directory: Path) -> None:
    with saved.open("rb+") as file:
        file.truncate(saved.stat().st_size - 1)
    with pytest.raises(CommandError, match="damaged or was changed"):
        restore(saved)
    assert is_empty(git_directory)


@pytest.mark.parametrize("cause", ["database", "git"])
def test_a_failure_in_the_middle_leaves_nothing(
    saved: Path, git_directory: Path, cause: str
) -> None:
    """Somebody with the key has built a file whose rows, or whose commits, do not fit."""
    forged = saved.with_name("forged.backup")
    with saved.open("rb") as source, forged.open("wb") as goal:
        forge(SealedReader(source, installation_cipher()), goal, cause)
    with pytest.raises(CommandError):
        restore(forged)
    assert is_empty(git_directory)
    assert not (git_directory / "rebuild").exists()
    assert "nothing is wrong" in restore(saved)


def forge(source: SealedReader, goal: io.BufferedWriter, cause: str) -> None:
    sealed = SealedWriter(goal, installation_cipher())
    unpacked = io.BytesIO(
        zstandard.ZstdDecompressor().stream_reader(io.BufferedReader(source)).read()
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=unpacked) as old, tarfile.open(fileobj=packed, mode="w") as new:
        for member in old:
            file = old.extractfile(member)
            body = file.read() if file else b""
            if cause == "git" and member.name.startswith("git/"):
                body = body[:-30] + bytes(30)
            if cause == "database" and member.name.startswith("database/inventory_device/"):
                body = b""
            if member.name.startswith("totals/") and cause == "database":
                totals = json.loads(body)
                totals["rows"]["inventory_device"] = 0
                body = json.dumps(totals).encode()
            member.size = len(body)
            new.addfile(member, io.BytesIO(body))
    sealed.write(zstandard.compress(packed.getvalue()))
    sealed.finish()


def test_a_history_that_is_there_is_not_touched(saved: Path, git_directory: Path) -> None:
    git_directory.with_name("lost.git").rename(git_directory)
    run_git(git_directory, "update-ref", "refs/heads/other", "main")
    with pytest.raises(CommandError, match="There is a Git store with a history"):
        restore(saved)
    assert not Snapshot.objects.exists()


def test_other_things_in_the_place_of_the_store_are_not_touched(
    saved: Path, git_directory: Path
) -> None:
    git_directory.mkdir()
    stranger = git_directory / "payroll.db"
    stranger.write_text("precious")
    with pytest.raises(CommandError, match="neither empty nor a Git store"):
        restore(saved)
    assert stranger.read_text() == "precious"


def test_a_store_that_has_lost_its_branches_is_not_touched(
    saved: Path, git_directory: Path
) -> None:
    git_directory.with_name("lost.git").rename(git_directory)
    run_git(git_directory, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(CommandError, match="There is a Git store with a history"):
        restore(saved)
    assert any((git_directory / "objects").rglob("*"))


def test_rows_that_are_there_are_not_touched(saved: Path, git_directory: Path) -> None:
    DeviceFactory.create(hostname="somebody")
    with pytest.raises(CommandError, match="the database is in use: there are rows in"):
        restore(saved)
    assert Device.objects.get().hostname == "somebody"
    assert references(git_directory) == {}


def test_other_keys_are_refused_first(
    saved: Path, git_directory: Path, configure: Callable[..., None]
) -> None:
    from pydantic import SecretStr

    configure(redaction_key=SecretStr("another redaction key"))
    with pytest.raises(CommandError, match="NETRAVEN_REDACTION_KEY is not that of the backup"):
        restore(saved)
    assert is_empty(git_directory)


def test_a_passphrase_takes_the_place_of_the_key(git_directory: Path, tmp_path: Path) -> None:
    store_some(devices=1, revisions=1)
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n", encoding="utf-8")
    path = created(tmp_path, "--passphrase-file", str(secret))
    lose_all(git_directory)
    with pytest.raises(CommandError, match="--passphrase-file"):
        restore(path)
    secret.write_text("correct horse battery stable\n", encoding="utf-8")
    with pytest.raises(CommandError, match="passphrase does not open"):
        restore(path, "--passphrase-file", str(secret))
    secret.write_text("correct horse battery staple", encoding="utf-8")
    assert "nothing is wrong" in restore(path, "--passphrase-file", str(secret))


def test_no_key_is_in_the_file_and_nothing_is_readable(git_directory: Path, tmp_path: Path) -> None:
    store_some(devices=1, revisions=1)
    path = created(tmp_path)
    sealed = path.read_bytes()
    with path.open("rb") as file:
        reader = SealedReader(file, installation_cipher())
        inside = zstandard.ZstdDecompressor().stream_reader(io.BufferedReader(reader)).read()
    hostname = Device.objects.get().hostname.encode()
    assert hostname in inside
    assert hostname not in sealed
    key_id = installation_cipher().current_key_id
    keys = [os.environ[f"NETRAVEN_{name}"] for name in ("SECRET_KEY", "REDACTION_KEY")]
    keys.append(os.environ["NETRAVEN_ENCRYPTION_KEYS"].removeprefix(f"{key_id}:"))
    for key in keys:
        assert key.encode() not in inside


def test_what_is_there_is_not_overwritten(git_directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "netraven.backup"
    path.write_text("precious")
    with pytest.raises(CommandError, match="is there already"):
        created(tmp_path)
    assert path.read_text() == "precious"


def test_a_damaged_store_makes_no_backup(git_directory: Path, tmp_path: Path) -> None:
    store_some()
    delete_objects(git_directory)
    with pytest.raises(CommandError, match="verify_store"):
        created(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [git_directory.name]


def test_a_byte_that_has_flipped_in_a_pack_makes_no_backup(
    git_directory: Path, tmp_path: Path
) -> None:
    """Git copies what it has packed as it is, without a look at it."""
    store_some(devices=3, revisions=3)
    git_store().maintain()
    [pack] = (git_directory / "objects/pack").glob("*.pack")
    pack.chmod(0o644)
    body = bytearray(pack.read_bytes())
    body[len(body) // 2] ^= 0x01
    pack.write_bytes(body)
    with pytest.raises(CommandError, match="verify_store"):
        created(tmp_path)


def test_a_backup_with_a_damaged_history_does_not_pass_the_check(
    git_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of an earlier version may be, which did not look."""
    store_some(devices=2, revisions=2)

    def spoiled(references: Mapping[str, str], sink: OutputSink) -> None:
        sink.write(b"PACK nonsense")

    monkeypatch.setattr(create, "history_write", spoiled)
    path = created(tmp_path)
    with pytest.raises(CommandError, match="the history in the backup cannot be unpacked"):
        restore(path, "--check")


def test_a_name_that_is_no_utf8_is_left_out(git_directory: Path, tmp_path: Path) -> None:
    store_some(devices=1, revisions=1)
    (git_directory / "refs/heads" / os.fsdecode(b"k\xe4se")).write_bytes(
        (git_directory / "refs/heads/main").read_bytes()
    )
    assert set(git_store().branches()) == {"main"}
    path = created(tmp_path)
    lose_all(git_directory)
    assert "nothing is wrong" in restore(path)


def test_a_store_that_is_maintained_is_left_alone(git_directory: Path, tmp_path: Path) -> None:
    store_some(devices=1, revisions=1)
    with alone(git_directory, MAINTENANCE), pytest.raises(CommandError, match="try again later"):
        created(tmp_path)


def test_what_is_committed_meanwhile_is_in_neither_half(
    git_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device is backed up right after the moment that the backup shows."""
    from netraven_site.installation_backup import create

    store_some(devices=1, revisions=1)
    device, original = Device.objects.get(), create._manifest

    def after_the_moment(*arguments: object) -> object:
        store(device, "hostname later\nend\n")
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(create, "_manifest", after_the_moment)
    path = created(tmp_path)
    assert Snapshot.objects.count() == 2
    lose_all(git_directory)
    assert "nothing is wrong" in restore(path)
    assert Snapshot.objects.count() == 1


def test_every_table_is_copied_and_can_be_filled_in_any_order() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') "
            "AND relnamespace = current_schema()::regnamespace"
        )
        there = {name for (name,) in cursor.fetchall()}
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT condeferrable"
        )
        assert cursor.fetchall() == []
    with long_transaction() as opened, opened.cursor() as raw:
        assert there - tables.tables_of(raw).keys() == {"django_migrations", "django_session"}
