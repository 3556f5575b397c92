"""Django's settings, all of them derived from the typed configuration in ``config.py``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
import django_stubs_ext
from celery.schedules import crontab
from django.urls import reverse_lazy

from jobs.queues import CONTROL_QUEUE, GIT_QUEUE
from netraven_site import log_format
from netraven_site.config import Config, ConfigurationError
from netraven_site.config_loading import load_config
from netraven_site.database import Connection, Cursor
from netraven_site.exposure import exposure_check
from netraven_site.navigation import UNFOLD as UNFOLD
from netraven_site.results import backend_url
from netraven_site.stack.state import StackState
from netraven_site.version import VERSION

# Lets annotations such as ModelAdmin[Device] stand in class definitions.
django_stubs_ext.monkeypatch()


def _load() -> Config:
    """The configuration, or one clear line and the end of the process."""
    try:
        return exposure_check(load_config())
    except ConfigurationError as error:
        lines = "\n".join(f"netraven: {line}" for line in str(error).splitlines())
        raise SystemExit(lines) from None


def _secret(value: Any) -> str:
    return value.get_secret_value() if value is not None else ""


NETRAVEN: Config = _load()
NETRAVEN_VERSION = VERSION
_STACK = StackState.read(NETRAVEN.data_dir)

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = _secret(NETRAVEN.secret_key)
DEBUG = NETRAVEN.debug
ALLOWED_HOSTS = NETRAVEN.allowed_hosts
CSRF_TRUSTED_ORIGINS = NETRAVEN.csrf_trusted_origins
ROOT_URLCONF = "netraven_site.urls"
WSGI_APPLICATION = "netraven_site.wsgi.application"

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.import_export",
    "import_export",
    "netraven_site.admin_config.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "axes",
    "auditlog",
    "csp",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_celery_results",
    "netraven_site",
    "credentials",
    "common",
    "inventory",
    "backups",
    "jobs",
]

MIDDLEWARE = [
    "netraven_site.log_context.RequestLog",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "netraven_site.audit.AuditMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database ---------------------------------------------------------------------------------
#: Refused at once while nothing listens: a command can then say how to start the stack.
_NO_DATABASE = "postgresql://netraven@127.0.0.1:1/netraven"
_DATABASE_URL = _secret(NETRAVEN.database_url) or (_STACK.database_url if _STACK else _NO_DATABASE)
DATABASES = {"default": dj_database_url.parse(_DATABASE_URL)}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 5,
        # The few statements of a backup come again and again: PostgreSQL plans each one once per
        # connection, and bytes travel as bytes (docs/adr/0030).
        "server_side_binding": True,
        "cursor_factory": Cursor,
        "prepare_threshold": 5,
        # A statement that hangs must not hold a worker; a lost lock holder not the others.
        "options": "-c statement_timeout=30000 -c lock_timeout=10000 "
        "-c idle_in_transaction_session_timeout=60000",
    }
)
if _DATABASE_URL != _NO_DATABASE:
    # A thread that waits for a device holds no connection; those that store share these few
    # (docs/adr/0012).
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 0,
        "max_size": NETRAVEN.database_connections,
        "timeout": 30,
        "connection_class": Connection,
        # A server that was away is asked again soon, not after pauses that double each time: leases
        # wait to be renewed.
        "reconnect_timeout": 2,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Celery -----------------------------------------------------------------------------------
_REDIS_URL = _secret(NETRAVEN.redis_url) or (
    _STACK.redis_url if _STACK else "redis://127.0.0.1:1/0"
)
CELERY_BROKER_URL = _REDIS_URL
CELERY_RESULT_BACKEND = backend_url(_REDIS_URL)
CELERY_RESULT_EXPIRES = 3600
#: Would store arguments and tracebacks of tasks.
CELERY_RESULT_EXTENDED = False
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
#: True would hand a task that kills its worker to the next worker for ever; the lease does better.
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = CONTROL_QUEUE
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Half-open connections are noticed; the visibility timeout is far above the longest device task
# and the same in every process, because the shortest one would win.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 2 * 3600,
    "socket_timeout": 15,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
#: A dead broker must not block: the rows stay pending and the reconciler sends again.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.2, "interval_max": 1.0}
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Flower shows what workers have taken. What still waits stands in the rows, and an event for each
# message makes sending a wave half as dear again (docs/reliability-settings.md).
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "jobs.beat:SlotScheduler"
CELERY_BEAT_SCHEDULE = {
    "netraven-maintain-git-store": {
        "task": "jobs.maintain_git_store",
        "schedule": crontab(hour="3", minute="41"),
        "options": {"queue": GIT_QUEUE},
    },
    "netraven-verify-store": {
        "task": "jobs.verify_store",
        "schedule": crontab(day_of_week="sun", hour="4", minute="41"),
        "options": {"queue": GIT_QUEUE},
    },
    "netraven-verify-audit": {
        "task": "netraven.verify_audit",
        "schedule": crontab(hour="3", minute="11"),
        "options": {"queue": CONTROL_QUEUE},
    },
    "netraven-prune": {
        "task": "jobs.prune",
        "schedule": crontab(hour="4", minute="11"),
        "options": {"queue": CONTROL_QUEUE},
    },
}

# --- Web --------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = False  # there is one language; to look for others takes a tenth of the time of a page
TIME_ZONE = NETRAVEN.time_zone
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = NETRAVEN.data_dir / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
LOGIN_URL = reverse_lazy("admin:login")
_VALIDATORS: dict[str, dict[str, Any]] = {
    "UserAttributeSimilarityValidator": {},
    "MinimumLengthValidator": {"min_length": 12},
    "CommonPasswordValidator": {},
    "NumericPasswordValidator": {},
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in _VALIDATORS.items()
]
# The first one refuses who was locked out, and leaves passwords to the second.
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = NETRAVEN.login_failures
AXES_COOLOFF_TIME = timedelta(seconds=NETRAVEN.login_lockout_seconds)
#: Both together: a stranger elsewhere cannot lock a user out, and behind one proxy nobody others.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "common.callers.client_address"
AXES_USERNAME_CALLABLE = "netraven_site.accounts.login.attempted_name"
AXES_LOCKOUT_CALLABLE = "netraven_site.accounts.login.locked_page"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = NETRAVEN.session_hours * 3600
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = NETRAVEN.https
SECURE_SSL_REDIRECT = NETRAVEN.https
SECURE_HSTS_SECONDS = 31536000 if NETRAVEN.https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = NETRAVEN.https
if NETRAVEN.https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

_SELF = ["'self'"]
_NONE = ["'none'"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": _NONE,
        # Alpine, which the admin's look brings, makes functions of its attributes.
        "script-src": [*_SELF, "'unsafe-eval'"],
        # The look sets its colours in the page.
        "style-src": [*_SELF, "'unsafe-inline'"],
        "img-src": [*_SELF, "data:"],
        "font-src": _SELF,
        "connect-src": _SELF,
        "form-action": _SELF,
        "base-uri": _NONE,
        "frame-ancestors": _NONE,
    }
}

KNOX_TOKEN_MODEL = "netraven_site.ApiToken"  # noqa: S105  # the name of a model
REST_KNOX = {"TOKEN_MODEL": KNOX_TOKEN_MODEL}
# Its own table would stand beside ours, unused and unknown to whatever empties the database.
MIGRATION_MODULES = {"knox": None}
#: A changed password ends the tokens that were got with the old one.
SIMPLE_JWT = {"CHECK_REVOKE_TOKEN": True}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication",
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["netraven_site.api.ModelPermissions"],
    "DEFAULT_PAGINATION_CLASS": "netraven_site.api.Pages",
    "DEFAULT_FILTER_BACKENDS": [
        "django_filters.rest_framework.DjangoFilterBackend",
        "rest_framework.filters.SearchFilter",
        "netraven_site.api.StableOrdering",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.api.parsers.BoundedJsonParser"],
    "DEFAULT_SCHEMA_CLASS": "netraven_site.api_schema.Schema",
    "EXCEPTION_HANDLER": "netraven_site.api_errors.error_response",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "NetRaven",
    "DESCRIPTION": "Backs up the configurations of network devices and tracks every change.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # What goes in and what comes out differ: secrets, ids and what only NetRaven writes.
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "netraven_site.api_schema.add_components",
    ],
    # The files of both pages come from the package of that name: no other host is asked.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    # Two answers hold a run: one in a list, and one by itself.
    "ENUM_NAME_OVERRIDES": {"JobRunStatusEnum": "jobs.models.columns.RUN_STATUSES"},
}

# --- Logging ----------------------------------------------------------------------------------
log_format.configure()
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "redacted": {
            "()": "netraven_site.log_format.RedactedFormatter",
            "form": NETRAVEN.log_format,
        }
    },
    "handlers": {
        "stream": {
            "class": "logging.StreamHandler",
            "stream": log_format.log_stream(),
            "formatter": "redacted",
            "level": log_format.shown_level(
                NETRAVEN.log_level, is_given="log_level" in NETRAVEN.model_fields_set
            ),
        }
    },
    "root": {"handlers": ["stream"], "level": NETRAVEN.log_level},
    "loggers": {
        # Both log what goes over the wire at DEBUG: log-in prompts and answers. Paramiko's errors
        # quote what a host sent in place of SSH; what went wrong is recorded with the device.
        "paramiko": {"level": "CRITICAL"},
        "netmiko": {"level": "WARNING"},
        "celery": {"level": "WARNING" if NETRAVEN.log_level != "DEBUG" else "INFO"},
        "django.request": {"level": "ERROR"},
        "axes": {"level": "WARNING"},
        # Quotes the addresses that it sends to; ``jobs.notifications`` listens to it.
        "apprise": {"level": "WARNING", "propagate": False},
        # Says at DEBUG which addresses are asked, and those of some services hold tokens.
        "urllib3": {"level": "WARNING"},
    },
}
