"""Secrets from the environment and from files of the worker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from credentials.providers.errors import SecretUnavailable

#: Only variables with this prefix are read: whoever may enter credentials must not be able to send
#: other secrets of the worker, such as its keys, to a device.
VARIABLE_PREFIX: Final = "DEVICE_SECRET_"
_MAX_BYTES = 64 * 1024
_ENVIRONMENT_REFERENCE = re.compile(r"[A-Z0-9](?:[A-Z0-9_]{0,62}[A-Z0-9])?")
_FILE_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def environment_problem(reference: str) -> str | None:
    """Why ``reference`` cannot name variables, one line; None if it can."""
    if _ENVIRONMENT_REFERENCE.fullmatch(reference):
        return None
    return "it has 1 to 64 capital letters, digits and inner underscores"


def from_environment(
    reference: str, fields: tuple[str, ...], environment: Mapping[str, str]
) -> dict[str, str]:
    """The secrets in ``DEVICE_SECRET_<reference>_<FIELD>``; those that are not set are left out.

    Raises SecretUnavailable when none of them is set.
    """
    found = {}
    for field in fields:
        value = environment.get(f"{VARIABLE_PREFIX}{reference}_{field.upper()}")
        if value:
            found[field] = value
    if not found:
        raise SecretUnavailable(
            f"the worker's environment has no variable {VARIABLE_PREFIX}{reference}_…; set it for "
            "every worker"
        )
    return found


def file_problem(reference: str) -> str | None:
    """Why ``reference`` cannot name a directory, one line; None if it can."""
    if _FILE_REFERENCE.fullmatch(reference):
        return None
    return "it is the name of one directory: letters, digits, dots, hyphens and underscores"


def from_files(reference: str, fields: tuple[str, ...], directory: Path | None) -> dict[str, str]:
    """The secrets in the files ``<directory>/<reference>/<field>``; one line end is cut off.

    Files that are not there are left out. Links may lead to other places in ``directory`` only.
    Raises SecretUnavailable: no ``directory``, no secret at all, or a file that cannot be read.
    """
    if directory is None:
        raise SecretUnavailable("no directory of secrets is configured; set secret_directory")
    if file_problem(reference) is not None:
        raise SecretUnavailable(f"'{reference}' is no directory of secrets")
    found = {}
    for field in fields:
        text = _text(directory, reference, field)
        if text:
            found[field] = text
    if not found:
        raise SecretUnavailable(
            f"there is no secret in '{reference}' in the secret_directory of the worker"
        )
    return found


def _text(directory: Path, reference: str, field: str) -> str | None:
    try:
        path = (directory / reference / field).resolve(strict=True)
        if not path.is_relative_to(directory.resolve(strict=True)):
            raise SecretUnavailable(f"'{reference}/{field}' leads out of the secret_directory")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be read"
        raise SecretUnavailable(f"'{reference}/{field}': {reason}") from None
    if len(content) > _MAX_BYTES:
        raise SecretUnavailable(f"'{reference}/{field}' is too large for a secret")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SecretUnavailable(f"'{reference}/{field}' is not UTF-8 text") from None
    return text if field == "ssh_key" else text.removesuffix("\n").removesuffix("\r")
