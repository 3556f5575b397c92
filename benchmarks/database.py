"""An empty database of a benchmark's own, with NetRaven's tables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netraven_site.config_loading import prepare_embedded_keys
from netraven_site.stack.postgres import EmbeddedPostgres
from netraven_site.stack.supervisor import Supervisor
from tests.support.waiting import wait_for


@contextmanager
def own_database() -> Iterator[Path]:
    """Django on an embedded PostgreSQL in a temporary directory, which is given.

    Models can be imported inside only. The settings of the server are those of ``manage.py up``.
    """
    with tempfile.TemporaryDirectory(prefix="netraven-bench-") as directory:
        data_dir = Path(directory) / "data"
        postgres = EmbeddedPostgres(data_dir)
        os.environ["NETRAVEN_DATA_DIR"] = str(data_dir)
        prepare_embedded_keys()
        (data_dir / "static").mkdir()
        supervisor = Supervisor(log_directory=data_dir / "log", say=print)
        try:
            postgres.prepare()
            supervisor.start(postgres.spec())
            wait_for(postgres.answers, "the embedded PostgreSQL")
            postgres.ensure_database()
            _set_up_django(postgres.url)
            yield data_dir
        finally:
            supervisor.stop()


def _set_up_django(database_url: str) -> None:
    os.environ["DATABASE_URL"] = database_url
    os.environ["DJANGO_SETTINGS_MODULE"] = "netraven_site.settings"
    # On probation a credential lets a few devices through at a time until one of them took it.
    os.environ["NETRAVEN_LOCKOUT_DEVICES"] = "0"

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
