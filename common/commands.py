"""What the commands share: they need the stack, and say in one line what is wrong."""

from __future__ import annotations

import getpass
import os
from typing import Any

import psycopg
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, connection
from django.db.utils import ProgrammingError

NOT_RUNNING = (
    "NetRaven's database does not answer: start it with 'make up' or 'python manage.py up'"
)
TOO_BUSY = "the database took too long to answer, or others kept it locked; try again later"
NOT_MIGRATED = "the database is not set up yet: run 'python manage.py migrate' or start the stack"

#: SQLSTATE query_canceled and lock_not_available: the server answers, but not in time.
_GAVE_UP = {"57014", "55P03"}


class StackCommand(BaseCommand):
    """A command that works on the database of a running stack."""

    #: The checks would ask the database before we can say that it is down.
    requires_system_checks: list[str] = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; a database that is down or goes down is one clear line."""
        try:
            ask_database()
            return super().execute(*args, **options)
        except UnicodeEncodeError:
            raise CommandError("an argument is not UTF-8 text") from None
        except (OperationalError, InterfaceError) as error:
            if getattr(error.__cause__, "sqlstate", None) in _GAVE_UP:
                raise CommandError(TOO_BUSY) from None
            raise CommandError(NOT_RUNNING) from None
        except ProgrammingError as error:
            if "does not exist" in str(error):
                raise CommandError(NOT_MIGRATED) from None
            raise


def ask_database() -> None:
    """Connect outside the pool, which would go on trying for a while. Raises OperationalError."""
    if connection.connection is None:
        with connection.wrap_database_errors:
            psycopg.connect(**connection.get_connection_params()).close()


def command_line_user() -> str:
    """Who works on the command line, as it is kept in rows: ``command line (NAME)``."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        name = f"user id {os.getuid()}"
    return f"command line ({name})"


def one_line(error: ValidationError) -> str:
    """The messages of ``error`` as one line, with the names of the fields at fault."""
    if not hasattr(error, "error_dict"):
        return "; ".join(error.messages)
    return "; ".join(
        message if field == "__all__" else f"{field}: {message}"
        for field, messages in error.message_dict.items()
        for message in messages
    )
