"""The one configuration of NetRaven: typed, validated, explained.

Every setting is read from the environment (``NETRAVEN_`` and the field name in capitals) and then
from the TOML file that ``NETRAVEN_CONFIG`` names (the field name as key). Secrets can also be given
as a file: ``NETRAVEN_SECRET_KEY_FILE=/run/secrets/key``. ``DATABASE_URL`` and ``REDIS_URL`` go
without prefix, as everywhere.

Without ``DATABASE_URL`` NetRaven runs embedded: ``manage.py up`` brings its own servers, and the
keys are generated once into the data directory. Outside it a missing key is an error.
``config_loading`` reads all of it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AliasChoices,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from backups.engine.git.signing import check_signing_key
from credentials.cipher import CipherError, parse_keys
from netraven_site.config_types import IpAddress, NetworkList, TextList, check_url

PROJECT_DIR = Path(__file__).resolve().parent.parent
#: What the variables of all settings begin with.
PREFIX = "NETRAVEN_"
#: A mount or a namespace of Vault.
_VAULT_PATH = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$"


class ConfigurationError(Exception):
    """The configuration is wrong. The message has one line per wrong setting."""


def _named(name: str) -> Any:
    """A connection URL that is read with and without the prefix."""
    return Field(
        default=None,
        validation_alias=AliasChoices(name.lower(), f"{PREFIX}{name}", name),
    )


class Config(BaseSettings):
    """All settings with their units in the names; times are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, populate_by_name=True
    )

    #: Where the embedded servers, the generated keys, static files and the Git store live.
    data_dir: Path = PROJECT_DIR / "var"

    # Connections. None = the embedded server.
    database_url: SecretStr | None = _named("DATABASE_URL")
    redis_url: SecretStr | None = _named("REDIS_URL")

    #: Connections that one process (a worker, a web process) opens at the most.
    database_connections: int = Field(default=8, ge=1, le=100)

    # Keys. Generated for the embedded stack, required outside it.
    secret_key: SecretStr | None = None
    #: ``id:base64,id:base64``; the first key encrypts, all of them decrypt.
    encryption_keys: SecretStr | None = None
    #: Key of the redaction tokens; changing it changes every token.
    redaction_key: SecretStr | None = None
    #: Earlier ones, one a line: what they sealed in the audit log is checked with them.
    old_redaction_keys: SecretStr | None = None
    #: Start although an encryption key is missing that stored values need: it is lost for good.
    allow_missing_keys: bool = False

    # Web.
    debug: bool = False
    allowed_hosts: TextList = ["localhost", "127.0.0.1", "[::1]"]
    csrf_trusted_origins: TextList = []
    #: True behind a proxy that ends TLS: secure cookies, HSTS and redirects to https.
    https: bool = False
    #: Proxies between the callers and the web, each of which adds to X-Forwarded-For.
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    #: Wrong passwords for one user name from one address, after which neither is looked at.
    login_failures: int = Field(default=10, ge=1, le=1000)
    login_lockout_seconds: int = Field(default=900, ge=1, le=30 * 86400)
    #: Attempts to log in from one address, right or wrong, at each web process.
    login_attempts_per_minute: int = Field(default=60, ge=1, le=100_000)
    session_hours: int = Field(default=12, ge=1, le=8760)
    #: How long an API token is valid for which no other time was asked.
    api_token_days: int = Field(default=365, ge=1, le=3650)
    web_bind: str = "127.0.0.1"
    web_port: int = Field(default=8000, ge=1, le=65535)
    web_workers: int = Field(default=2, ge=1, le=64)
    web_threads: int = Field(default=4, ge=1, le=128)
    flower_port: int = Field(default=5555, ge=1, le=65535)
    #: What Prometheus shows at ``/metrics``; None = there is no such address.
    metrics_token: SecretStr | None = None
    #: Answer there without a token: whoever reaches the web then reads names of queues and hosts.
    metrics_without_token: bool = False
    #: Asked for about once a minute while schedules are answered, for a watch that calls when it is
    #: not asked any more; None = nobody watches.
    heartbeat_url: SecretStr | None = None
    time_zone: str = "UTC"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    #: ``auto``: text on a terminal, JSON elsewhere.
    log_format: Literal["auto", "json", "text"] = "auto"

    # Workers. docs/benchmarks.md has the measurement behind the defaults.
    worker_processes: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=64)
    worker_concurrency: int = Field(default=50, ge=1, le=500)
    #: Zones whose devices the workers of ``manage.py up`` reach, beside devices without a zone.
    worker_zones: TextList = []

    # One device.
    connect_timeout_seconds: float = Field(default=10, ge=0.1, le=300)
    login_timeout_seconds: float = Field(default=20, ge=0.1, le=300)
    command_timeout_seconds: float = Field(default=60, ge=0.1, le=3600)
    device_deadline_seconds: float = Field(default=300, ge=1, le=3600)
    max_output_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    #: Largest binary artefact.
    max_artefact_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=512 * 1024 * 1024)
    #: A configuration below this share of the last good one is suspect; 0 switches it off.
    minimum_size_share: float = Field(default=0.5, ge=0, le=1)
    #: Networks that may be connected to although they are loopback, link-local or the like.
    allowed_networks: NetworkList = []

    #: Platform definitions of the operator, one TOML file each (docs/platforms.md).
    platform_directory: DirectoryPath | None = None

    # Retry of one device within a run.
    retry_attempts: int = Field(default=3, ge=1, le=10)
    retry_backoff_seconds: float = Field(default=15, ge=0, le=3600)
    retry_backoff_max_seconds: float = Field(default=300, ge=0, le=3600)

    # Politeness.
    #: Sessions that a run begins per second, for jobs that say nothing of it; None = no limit.
    starts_per_second: float | None = Field(default=None, ge=0.01, le=1000)
    #: A credential that so many devices of a run in a row refuse is not used any more in that run;
    #: 0 switches this off.
    lockout_devices: int = Field(default=3, ge=0, le=100)
    #: So many credentials one device may refuse in a run before it is given up; 1 = no fallback.
    credential_attempts: int = Field(default=5, ge=1, le=100)

    # Providers of secrets.
    #: Credentials of the provider ``file`` are directories in it; None = there are none.
    secret_directory: DirectoryPath | None = None
    #: ``https://host:port``; http only to this machine. None = there is no Vault.
    vault_address: str | None = None
    #: Where its key/value engine, version 2, is mounted.
    vault_mount: str = Field(default="secret", pattern=_VAULT_PATH)
    vault_namespace: str | None = Field(default=None, pattern=_VAULT_PATH)
    #: A token, or an AppRole.
    vault_token: SecretStr | None = None
    vault_role_id: str | None = None
    vault_secret_id: SecretStr | None = None
    vault_approle_mount: str = Field(default="approle", pattern=_VAULT_PATH)
    #: Certificates of authorities that are believed; None = those of the system.
    vault_ca_file: FilePath | None = None
    vault_timeout_seconds: float = Field(default=10, ge=0.1, le=60)
    #: For how long a process keeps what Vault gave, in memory; 0 = it asks for each session.
    vault_cache_seconds: float = Field(default=30, ge=0, le=3600)

    # Circuit breaker of one device.
    #: Runs in a row in which it could not be reached; 0 switches the breaker off.
    breaker_failures: int = Field(default=5, ge=0, le=100)
    breaker_cooldown_seconds: float = Field(default=3600, ge=1, le=7 * 86400)
    breaker_cooldown_max_seconds: float = Field(default=86400, ge=1, le=30 * 86400)

    # Runs.
    wave_size: int = Field(default=1000, ge=1, le=5000)
    run_deadline_seconds: int = Field(default=6 * 3600, ge=60, le=7 * 86400)
    lease_seconds: float = Field(default=90, ge=2, le=3600)
    heartbeat_seconds: float = Field(default=15, ge=0.5, le=600)
    reconcile_seconds: float = Field(default=10, ge=0.5, le=600)
    #: A worker that is asked to end gives its sessions this long; the rest is handed back.
    drain_seconds: float = Field(default=60, ge=0, le=3600)
    #: A message that no worker has answered for this long is sent again.
    message_ttl_seconds: float = Field(default=300, ge=2, le=3600)

    #: Hours that the last backup of a device may be old whose tags say nothing; 0 = any.
    freshness_hours: int = Field(default=24, ge=0, le=8760)

    # Notifications.
    #: Networks that messages may be sent to although they are loopback, link-local or the like.
    notification_networks: NetworkList = []
    #: ``https://host`` under which people open the site, for links in messages; None = no links.
    site_url: str | None = Field(default=None, pattern=r"^https?://[^/?#\s]+$")
    # Notices of changes.
    #: A device is backed up when nothing was told of it for so long ...
    change_quiet_seconds: float = Field(default=10, ge=0, le=3600)
    #: ... and at the latest so long after the first message.
    change_wait_seconds: float = Field(default=60, ge=0, le=86400)
    #: Address that the syslog listener of ``manage.py up`` takes; ``::`` = all, also of IPv4.
    #: None = there is no listener.
    syslog_bind: IpAddress | None = None
    syslog_port: int = Field(default=5514, ge=1, le=65535)
    #: Networks whose messages may be about any device, which their hostname says.
    syslog_relays: NetworkList = []
    #: Messages of one source that are looked at.
    syslog_messages_per_second: int = Field(default=100, ge=1, le=1_000_000)

    # Git. None = ``configs.git`` in the data directory.
    git_path: Path | None = None
    #: Who commits: each worker that has read a device, or the workers of the queue ``git`` alone.
    git_writer: Literal["shared", "queue"] = "shared"
    #: Certificates of authorities that are believed at Git remotes; None = those of the system.
    git_ca_file: FilePath | None = None
    #: SSH private key, without a passphrase, that signs each commit; None = no signatures.
    git_signing_key: Path | None = None

    # Retention of devices that no policy fits (docs/howto/retention.md). None = for ever.
    archive_retention_days: int | None = Field(default=None, ge=1, le=36500)
    archive_retention_count: int = Field(default=1, ge=1, le=100000)
    #: Also how long runs are kept.
    log_retention_days: int = Field(default=90, ge=1, le=36500)

    redaction_keywords: TextList = ["password", "secret"]

    #: A search over all configurations by page or API gives what it has found by then.
    search_seconds: float = Field(default=10, ge=0.1, le=60)

    def key(self, name: Literal["secret_key", "encryption_keys", "redaction_key"]) -> str:
        """One of the keys in clear; ``load_config`` has seen to it that there is one."""
        value: SecretStr | None = getattr(self, name)
        if value is None:
            raise ConfigurationError(f"{PREFIX}{name.upper()} is missing")
        return value.get_secret_value()

    @property
    def embedded(self) -> bool:
        """Whether the database, and with it the generated keys, live in the data directory."""
        return self.database_url is None

    @property
    def git_directory(self) -> Path:
        return self.git_path or self.data_dir / "configs.git"

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("it must have at least 32 characters")
        return value

    @field_validator("redaction_key", "metrics_token")
    @classmethod
    def _long_enough_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("it must have at least 16 characters")
        return value

    @field_validator("encryption_keys")
    @classmethod
    def _usable_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                parse_keys(value.get_secret_value())
            except CipherError as error:
                raise ValueError(str(error)) from error
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("postgres://", "postgresql://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("it must start with postgresql://")
        check_url(value)
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_only(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("redis://", "rediss://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError("it must start with redis:// or rediss://")
        check_url(value)
        return value

    @field_validator("heartbeat_url")
    @classmethod
    def _web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("it must start with https:// or http://")
        check_url(value)
        return value

    @field_validator("vault_address")
    @classmethod
    def _safe_vault(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        is_local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local):
            raise ValueError("it must start with https://; http:// is for this machine only")
        if not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            raise ValueError("it must be an address such as https://vault.example.com:8200")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _one_way_into_vault(self) -> Config:
        has_role = self.vault_role_id is not None
        if has_role and (self.vault_token is not None or self.vault_secret_id is None):
            raise ValueError(
                f"{PREFIX}VAULT_ROLE_ID needs {PREFIX}VAULT_SECRET_ID, and no "
                f"{PREFIX}VAULT_TOKEN beside it"
            )
        return self

    @field_validator("git_signing_key")
    @classmethod
    def _signs(cls, value: Path | None) -> Path | None:
        if value is not None:
            check_signing_key(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("it must be a name such as Europe/Berlin or UTC")
        return value

    @field_validator("redaction_keywords")
    @classmethod
    def _some_keyword(cls, value: list[str]) -> list[str]:
        if not value:
            raise ValueError("it must name at least one keyword")
        return value

    @model_validator(mode="after")
    def _lease_outlives_heartbeat(self) -> Config:
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            raise ValueError(
                f"{PREFIX}LEASE_SECONDS={self.lease_seconds:g} is not allowed: it must be at "
                f"least twice {PREFIX}HEARTBEAT_SECONDS ({self.heartbeat_seconds:g})"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        path = os.environ.get("NETRAVEN_CONFIG")
        if path:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=path))
        return tuple(sources)
