"""What a first start of ``manage.py up`` puts into its data directory, apart from keys and users.

initdb, all migrations and the compressed static files take ten seconds of work, and every stack of
the tests would have to do it. It is done once per run, and copied.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
#: Names the directory of the prepared data. All processes of a run share it.
VARIABLE = "TESTS_PREPARED_DATA"
_SERVER_VARIABLES = ("NETRAVEN_", "DATABASE_URL", "REDIS_URL")


def copy_database(data_dir: Path) -> None:
    """Give a data directory the embedded PostgreSQL's data, with all tables in it."""
    _copy("postgres", data_dir)


def copy_static_files(data_dir: Path) -> None:
    """Give a data directory the collected and compressed static files."""
    _copy("static", data_dir)


def clean_environment() -> dict[str, str]:
    """The environment without anything that is meant for the tests' own process."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(_SERVER_VARIABLES)
    }


def _copy(name: str, data_dir: Path) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The files belong to the server's own account, which shutil would not keep.
    subprocess.run(["cp", "-a", str(_prepared() / name), str(data_dir)], check=True)


def _prepared() -> Path:
    """The prepared directory; whoever needs it first makes it, and the others wait."""
    directory = Path(os.environ[VARIABLE])
    whole = directory / "whole"
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            subprocess.run(
                [sys.executable, "-m", "tests.support.prepared"],
                cwd=_PROJECT,
                env=clean_environment()
                | {
                    "NETRAVEN_DATA_DIR": str(directory),
                    "DJANGO_SETTINGS_MODULE": "netraven_site.settings",
                },
                check=True,
            )
            whole.touch()
    return directory


def _prepare() -> None:
    import django

    django.setup()
    from django.conf import settings

    from netraven_site.stack import site_setup
    from tests.support.servers import local_servers

    with local_servers(settings.NETRAVEN.data_dir) as servers:
        site_setup.use_database(servers.database_url)
        site_setup.migrate()
        _forget_audit_log()
        site_setup.disconnect()
    site_setup.collect_static_files()


def _forget_audit_log() -> None:
    """Its entries are sealed under a key of this process, which nobody else has."""
    from auditlog.models import LogEntry

    from netraven_site.models import AuditSeal

    AuditSeal.objects.all().delete()
    LogEntry.objects.all().delete()


if __name__ == "__main__":
    _prepare()
