"""Reading the configuration: what is wrong is said in one line per setting, and keys are found."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from netraven_site.config import PREFIX, Config, ConfigurationError
from netraven_site.stack.keys import EmbeddedKeys

_FILE_SUFFIX = "_FILE"
#: Variables with the prefix that are no setting of their own.
_OTHER_VARIABLES = frozenset({"NETRAVEN_CONFIG", "NETRAVEN_FORBID_SKIPS"})
_KEY_FIELDS = ("secret_key", "encryption_keys", "redaction_key")


def load_config() -> Config:
    """The configuration of this process.

    Reads the environment and the file that ``NETRAVEN_CONFIG`` names. Keys that neither gives come
    from the data directory, where an embedded installation makes them on first use. Raises
    ConfigurationError.
    """
    return _with_keys(_read_config())


def _read_config() -> Config:
    _check_file(os.environ.get("NETRAVEN_CONFIG"))
    _check_variable_names(os.environ)
    try:
        return Config(**_secrets_from_files(os.environ))
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(error))) from None


def _check_file(path: str | None) -> None:
    if path is None:
        return
    try:
        with Path(path).open("rb") as file:
            tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(
            f"NETRAVEN_CONFIG={path}: the file cannot be read ({error.strerror})"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"NETRAVEN_CONFIG={path}: not a TOML file ({error})") from None


def _check_variable_names(environment: Mapping[str, str]) -> None:
    """A misspelt variable would be ignored in silence; name it instead."""
    known = {f"{PREFIX}{name.upper()}" for name in Config.model_fields}
    known |= {f"{name}{_FILE_SUFFIX}" for name in known if _is_secret(name)} | _OTHER_VARIABLES
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ConfigurationError("\n".join(_no_such_setting(name, known) for name in unknown))


def _no_such_setting(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"{name}: there is no such setting" + (f"; did you mean {close[0]}?" if close else "")


def _is_secret(variable: str) -> bool:
    field = variable.removeprefix(PREFIX).lower()
    return field in Config.model_fields and "SecretStr" in str(
        Config.model_fields[field].annotation
    )


def _secrets_from_files(environment: Mapping[str, str]) -> dict[str, Any]:
    secrets: dict[str, Any] = {}
    for name, path in environment.items():
        variable = name.removesuffix(_FILE_SUFFIX)
        if name == variable or not _is_secret(variable):
            continue
        if variable in environment:
            raise ConfigurationError(f"{variable} and {name} are both set; keep one of them")
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigurationError(f"{name}={path}: the file cannot be read ({reason})") from None
        secrets[variable.removeprefix(PREFIX).lower()] = text.strip()
    return secrets


def _explain(error: ValidationError) -> Iterable[str]:
    for detail in error.errors(include_url=False):
        yield _explain_one(detail)


def _explain_one(detail: ErrorDetails) -> str:
    field = str(detail["loc"][0]) if detail["loc"] else ""
    reason = detail["msg"].removeprefix("Value error, ")
    if not field:
        return reason
    setting = field if field.upper() == field else f"{PREFIX}{field.upper()}"
    if detail["type"] == "extra_forbidden":
        return _no_such_setting(field, Config.model_fields)
    hidden = _is_secret(setting) or setting.endswith("_URL")
    value = "<hidden>" if hidden else repr(detail["input"])
    return f"{setting}={value} is not allowed: {reason[:1].lower()}{reason[1:]}"


def prepare_embedded_keys() -> None:
    """Make the generated keys of the data directory, unless they are there already.

    ``manage.py up`` and ``manage.py demo`` call it before anything else, so that they start on an
    empty machine also with ``DATABASE_URL`` set. Raises ConfigurationError.
    """
    _create_keys(_read_config().data_dir)


def _with_keys(config: Config) -> Config:
    """``config`` with the keys of the data directory where it has none of its own."""
    missing = [name for name in _KEY_FIELDS if getattr(config, name) is None]
    if not missing:
        return config
    if not config.embedded and not EmbeddedKeys.exist(config.data_dir):
        raise ConfigurationError(
            "\n".join(
                f"{PREFIX}{name.upper()} is missing; it has no default outside the embedded stack"
                for name in missing
            )
        )
    keys = _create_keys(config.data_dir)
    return config.model_copy(update={name: SecretStr(getattr(keys, name)) for name in missing})


def _create_keys(data_dir: Path) -> EmbeddedKeys:
    try:
        return EmbeddedKeys.load_or_create(data_dir)
    except OSError as error:
        raise ConfigurationError(
            f"NETRAVEN_DATA_DIR={data_dir}: the directory cannot be used ({error.strerror})"
        ) from None
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
