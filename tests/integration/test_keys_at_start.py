"""Lost and wrong keys are found out when something starts, not when a device has to be restored."""

from __future__ import annotations

import http.client
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from pydantic import SecretStr

from backups.models import Archive
from backups.services.key_rotation import keys_check
from backups.services.store import RunLabel, backup_store
from credentials.cipher import generate_key
from credentials.key_check import redaction_key_accept, redaction_key_keep, redaction_key_problem
from credentials.models import Credential, InstallationKey
from netraven_site.key_gate import KeyGate, WrongKeysError, check_keys, require_keys
from netraven_site.stack.ports import free_port
from tests.factories import CredentialFactory, DeviceFactory, backup_outcome
from tests.support import keys
from tests.support.keys import NEW, OLD, OTHER
from tests.support.servers import local_servers
from tests.support.up import Up
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db

Use = Callable[..., None]
LABEL = RunLabel(run_id=1, job_name="nightly")
MISSING = (
    "encryption key 'old' is not configured, but 1 credential secret and 2 archives need it: add "
    "it to NETRAVEN_ENCRYPTION_KEYS"
)
#: Under the right id, and another key.
WRONG_OLD = "old:" + NEW.partition(":")[2]
NO_DATABASE = "postgresql://netraven@127.0.0.1:1/netraven"


@pytest.fixture
def use(configure: Callable[..., None]) -> Iterator[Use]:
    """Changes the keys of this process."""
    with keys.fresh_cipher():
        yield lambda *names: keys.use_keys(configure, *names)


@pytest.fixture
def stored(use: Use) -> None:
    """Two archives and a credential under the key OLD."""
    use(OLD)
    device = DeviceFactory.create()
    for text in ("a\n", "b\n"):
        backup_store(device=device, outcome=backup_outcome(text), label=LABEL)
    CredentialFactory.create()


# --- What is found --------------------------------------------------------------------------------


@pytest.mark.usefixtures("stored")
def test_the_right_keys_are_right() -> None:
    findings = keys_check()
    assert (findings.missing, findings.wrong) == ((), ())
    assert findings.uses == {"old": {"archive": 2, "credential secret": 1}}
    require_keys()


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("damaged", [b"", b"\x01", bytes(40), b"\x01\x03\xffld" + bytes(40)])
def test_a_damaged_value_names_no_key_that_could_be_missing(damaged: bytes) -> None:
    CredentialFactory.create()
    Credential.objects.filter(pk=Credential.objects.latest("pk").pk).update(sealed_password=damaged)
    assert keys_check().missing == ()
    require_keys()


@pytest.mark.usefixtures("stored")
def test_a_missing_key_is_named_with_what_needs_it(use: Use) -> None:
    use(NEW, OTHER)
    (line,) = keys_check().missing
    assert line.startswith(MISSING) and "\n" not in line
    with pytest.raises(WrongKeysError, match="encryption key 'old' is not configured"):
        require_keys()


@pytest.mark.usefixtures("stored")
def test_a_key_that_is_lost_for_good_can_be_let_go(
    use: Use, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(NEW)
    configure(allow_missing_keys=True, encryption_keys=SecretStr(NEW))
    said = io.StringIO()
    monkeypatch.setattr("sys.__stderr__", said)
    require_keys()
    assert MISSING in said.getvalue()
    (found,) = check_keys(databases=["default"])
    assert not found.is_serious()


@pytest.mark.usefixtures("stored")
def test_a_wrong_key_under_the_right_name_is_no_excuse(
    use: Use, configure: Callable[..., None]
) -> None:
    use(WRONG_OLD)
    configure(allow_missing_keys=True, encryption_keys=SecretStr(WRONG_OLD))
    findings = keys_check()
    assert findings.missing == ()
    assert "'old' of NETRAVEN_ENCRYPTION_KEYS is not the key" in findings.wrong[0]
    with pytest.raises(WrongKeysError):
        require_keys()


@pytest.mark.usefixtures("stored")
def test_one_damaged_value_is_no_wrong_key() -> None:
    oldest = Archive.objects.earliest("pk")
    Archive.objects.filter(pk=oldest.pk).update(sealed=bytes(oldest.sealed)[:-1] + b"\x00")
    Credential.objects.update(sealed_password=None)
    assert keys_check().wrong == ()


def test_damaged_credentials_are_counted_without_failing() -> None:
    CredentialFactory.create()
    for value in (b"", b"\x01", b"\x01\xff\xff", b"\x01\x04\xff\xfe\xfd\xfc"):
        Credential.objects.update(sealed_password=value)
        assert sum(sum(counts.values()) for counts in keys_check().uses.values()) == 1


def test_the_redaction_key_is_known_again(configure: Callable[..., None]) -> None:
    assert redaction_key_problem() is None, "nothing is kept yet"
    require_keys()
    kept = InstallationKey.objects.get()
    configure(redaction_key=SecretStr("another-key-of-this-house"))
    redaction_key_keep()
    assert InstallationKey.objects.get().fingerprint == kept.fingerprint
    problem = redaction_key_problem()
    assert problem is not None and "--accept-redaction-key" in problem
    assert "another-key" not in problem
    with pytest.raises(WrongKeysError, match="NETRAVEN_REDACTION_KEY is not the key"):
        require_keys()
    out = io.StringIO()
    call_command("rotate_keys", "--accept-redaction-key", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"redaction_key_changed": True}
    require_keys()
    assert redaction_key_accept() is False
    assert InstallationKey.objects.get().fingerprint != kept.fingerprint


@pytest.mark.usefixtures("stored")
def test_wrong_keys_keep_no_fingerprint(use: Use) -> None:
    use(NEW)
    with pytest.raises(WrongKeysError):
        require_keys()
    assert InstallationKey.objects.count() == 0


@pytest.mark.usefixtures("stored")
def test_the_system_check_asks_only_with_a_database(use: Use) -> None:
    use(NEW)
    assert check_keys(databases=None) == []
    (found,) = check_keys(databases=["default"])
    assert (found.id, found.is_serious()) == ("netraven.E002", True)
    assert MISSING in found.msg


@pytest.mark.usefixtures("stored")
def test_the_command_lists_the_keys(use: Use) -> None:
    out = io.StringIO()
    call_command("check_keys", stdout=out)
    assert out.getvalue() == (
        "the current key is 'old'\nkey 'old': 1 credential secret and 2 archives\n"
    )
    use(NEW)
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("check_keys", stdout=out, stderr=err)
    assert caught.value.code == 1 and MISSING in err.getvalue()
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("check_keys", "--json", stdout=out)
    assert json.loads(out.getvalue())["in_use"] == {"old": {"archive": 2, "credential secret": 1}}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stored")
def test_keys_that_turn_out_wrong_while_the_web_runs_are_not_worked_with(
    use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was down when the web started."""
    from django.db import OperationalError

    def down() -> None:
        raise OperationalError

    monkeypatch.setattr("netraven_site.key_gate.ask_database", down)
    gate, seen = KeyGate(lambda environ, start: [b"answer"]), []

    def get(path: str) -> list[bytes]:
        return list(gate({"PATH_INFO": path}, lambda status, headers: seen.append(status)))

    assert get("/admin/") == [b"answer"], "the application says itself that the database is down"
    monkeypatch.setattr("netraven_site.key_gate.ask_database", lambda: None)
    use(NEW)
    assert get("/healthz") == [b"answer"]
    assert b"keys do not fit" in get("/admin/")[0]
    assert seen == ["503 Service Unavailable"]
    use(NEW, OLD)
    assert get("/admin/") == [b"answer"]


# --- Real processes -------------------------------------------------------------------------------

WORKER = (
    *("-m", "celery", "-q", "-A", "netraven_site", "worker", "-P", "threads", "-c", "1"),
    *("-Q", "of-nobody", "-l", "INFO", "--without-mingle", "--without-gossip"),
)
CHECK = ("manage.py", "check", "--database=default")
REQUIRE_KEYS = "from netraven_site.key_gate import require_keys; require_keys()"
BEAT = ("-m", "celery", "-q", "-A", "netraven_site", "beat", "--pidfile=", "-l", "INFO")


def gunicorn(port: int) -> tuple[str, ...]:
    bind = f"127.0.0.1:{port}"
    options = ("--worker-class", "gthread", "--threads", "2", "--preload", "--no-control-socket")
    return ("-m", "gunicorn", "netraven_site.wsgi:application", "--bind", bind, *options)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "argv",
    [
        WORKER,
        BEAT,
        gunicorn(0),
        ("manage.py", "migrate"),
        ("manage.py", "check", "--database=default"),
    ],
    ids=["worker", "beat", "web", "migrate", "check"],
)
def test_a_start_without_a_needed_key_is_refused(argv: tuple[str, ...]) -> None:
    done = keys.run(*argv, env=keys.environment(NEW))
    assert done.returncode not in (0, None, -9), done.stderr
    assert len([line for line in done.stderr.splitlines() if MISSING in line]) == 1
    assert "ready" not in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("argv", [WORKER, BEAT, gunicorn(0)], ids=["worker", "beat", "web"])
def test_a_start_with_a_wrong_key_is_refused(argv: tuple[str, ...]) -> None:
    done = keys.run(*argv, env=keys.environment(WRONG_OLD))
    assert done.returncode not in (0, -9)
    assert "netraven: encryption key 'old' of NETRAVEN_ENCRYPTION_KEYS is not" in done.stderr


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_with_another_redaction_key_is_refused() -> None:
    redaction_key_keep()
    env = keys.environment(OLD, NETRAVEN_REDACTION_KEY="another-key-of-this-house")
    done = keys.run(*WORKER, env=env)
    assert done.returncode not in (0, -9)
    assert "netraven: NETRAVEN_REDACTION_KEY is not the key" in done.stderr


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stored")
def test_the_web_starts_with_the_right_keys_and_reaches_its_database() -> None:
    """Also from the forked processes of gunicorn, whose parent has asked the database before."""
    port = free_port()
    env = keys.environment(NEW, OLD, NETRAVEN_ALLOWED_HOSTS="localhost")
    with keys.start(*gunicorn(port), env=env) as process:
        try:
            wait_for(lambda: _status(port, "/healthz") == 200, "the web answers", 60)
            assert _status(port, "/api/v1/devices/") == 401
            assert _status(port, "/api/v1/token/", b'{"username": "a", "password": "b"}') == 401
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert InstallationKey.objects.count() == 1


@pytest.mark.slow
def test_a_database_that_is_down_is_no_wrong_key(tmp_path: Path) -> None:
    port = free_port()
    env = os.environ | {"DATABASE_URL": NO_DATABASE, "NETRAVEN_ALLOWED_HOSTS": "localhost"}
    log = tmp_path / "output.log"
    with (
        log.open("w") as output,
        keys.start(*gunicorn(port), env=env, output=output) as web,
        keys.start(*WORKER, env=env, output=output) as worker,
    ):
        try:
            wait_for(lambda: _status(port, "/healthz") == 200, "the web answers", 60)
            wait_for(
                lambda: "database.down" in log.read_text(),
                "the worker says that it waits",
                60,
            )
            assert worker.poll() is None
        finally:
            for process in (web, worker):
                process.terminate()
                process.communicate(timeout=30)
    assert "encryption key" not in log.read_text()
    assert "keys.unchecked" in log.read_text()
    assert "ready" not in log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_up_refuses_other_keys_in_one_line(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    up = Up.prepared(data_dir)
    store_a_credential(data_dir)
    try:
        for settings, words in (
            (
                {"NETRAVEN_ENCRYPTION_KEYS": OTHER},
                "'k1' is not configured, but 1 credential secret",
            ),
            ({"NETRAVEN_ENCRYPTION_KEYS": generate_key("k1")}, "'k1' of NETRAVEN_ENCRYPTION_KEYS"),
            ({"NETRAVEN_REDACTION_KEY": "r" * 32}, "NETRAVEN_REDACTION_KEY is not the key"),
        ):
            refused = Up(data_dir, **settings).command("up", timeout=120)
            assert refused.returncode == 1
            assert words in refused.stderr and len(refused.stderr.splitlines()) == 1
            assert "worker" not in refused.stdout
        assert up.processes() == []
        up.start()
        up.stop()
        up = Up(data_dir, NETRAVEN_REDACTION_KEY="r" * 32)
        up.start("--accept-redaction-key")
    finally:
        up.kill_all()


def store_a_credential(data_dir: Path) -> None:
    """In the database of a data directory, with its own keys, which start something there."""
    with local_servers(data_dir) as servers:
        up = Up(data_dir, DATABASE_URL=servers.database_url, REDIS_URL=servers.redis_url)
        options = ("--username", "netops", "--password-stdin")
        made = up.command("create_credential", "lab", *options, stdin="pw\n")
        assert made.returncode == 0, made.stderr
        started = up.command("shell", "-v0", "-c", REQUIRE_KEYS)
        assert started.returncode == 0, started.stderr


def _status(port: int, path: str, body: bytes | None = None) -> int | None:
    """Status of the answer to a GET, or to a POST of ``body``; None while nobody listens."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"Host": "localhost", "Content-Type": "application/json"}
        client.request("GET" if body is None else "POST", path, body, headers)
        return client.getresponse().status
    except OSError:
        return None
    finally:
        client.close()
