"""The whole of NetRaven on this machine: servers, web, workers, beat and Flower."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from django.db import DatabaseError

from netraven_site.celery import app as celery_app
from netraven_site.config import Config
from netraven_site.stack import external, leftovers, ports, processes, site_setup
from netraven_site.stack.errors import StackError
from netraven_site.stack.keys import EmbeddedKeys
from netraven_site.stack.lock import DataDirectoryLock
from netraven_site.stack.output import tolerant
from netraven_site.stack.postgres import EmbeddedPostgres
from netraven_site.stack.redis import EmbeddedRedis
from netraven_site.stack.state import StackState
from netraven_site.stack.supervisor import Supervisor

_SERVER_SECONDS = 60.0
_POLL_SECONDS = 0.05
_PING_SECONDS = 1.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stack:
    """Starts, watches and stops everything; to be used in the main thread.

    From ``start`` to ``stop`` the signals INT, TERM and HUP raise KeyboardInterrupt, so callers
    stop in a ``finally``. A signal during ``stop`` kills what still runs.
    """

    def __init__(
        self,
        config: Config,
        *,
        output: Callable[[str], None],
        echo: Callable[[str], None] | None = None,
        accept_redaction_key: bool = False,
    ) -> None:
        """``output`` gets the stack's own lines; ``echo``, if given, those of the processes.

        With ``accept_redaction_key`` another redaction key than before is no reason to stop.
        """
        self._config = config
        self._accept_redaction_key = accept_redaction_key
        self._data_dir = config.data_dir.resolve()
        self._say = tolerant(output)
        self._supervisor = Supervisor(
            log_directory=self._data_dir / "log",
            say=self._say,
            echo=tolerant(echo) if echo else None,
        )
        self._lock = DataDirectoryLock(self._data_dir)
        self._workers = processes.workers(config)
        self._old_handlers: dict[signal.Signals, Any] = {}
        self._started = False
        #: Password of the first user when this start has made it; shown once, kept nowhere.
        self.first_password: str | None = None

    @property
    def web_url(self) -> str:
        host = ports.address_in_url(ports.local_address(self._config.web_bind))
        return f"http://{host}:{self._config.web_port}/"

    @property
    def flower_url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self._config.flower_port}/"

    def start(self) -> StackState:
        """Start all processes; this process is connected to the stack afterwards.

        Raises StackError with one line that says why, KeyboardInterrupt on a signal.
        """
        try:
            return self._start()
        except OSError as error:
            raise StackError(f"{self._data_dir} cannot be used: {error}") from None
        except DatabaseError as error:
            raise StackError(f"the database cannot be set up: {_one_line(error)}") from None

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Wait until the web pages, every worker and Flower answer.

        Raises StackError naming what does not, or what ended meanwhile.
        """
        checks = {
            "web": self._web_answers,
            "the workers": self._workers_answer,
            "flower": self._flower_answers,
        }
        if self._config.syslog_bind is not None:
            checks["the syslog listener"] = self._syslog_listens
        self._wait_for(checks, timeout)

    def run_until_signal(self) -> None:
        """Keep everything running until INT, TERM or HUP."""
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return

    def stop(self) -> None:
        """Stop all processes in order; safe to call again, and after a failed start."""
        if not self._started:
            return
        self._started = False
        self._handle_signals(lambda *_: self._supervisor.hurry())
        self._say("stopping; press Ctrl-C again to kill what still runs")
        StackState.remove(self._data_dir)
        self._supervisor.stop()
        self._lock.release()
        self._say("stopped")
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)

    def _start(self) -> StackState:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        self._started = True
        self._take_signals()
        leftovers.end(leftovers.marked(self._data_dir))
        self._require_ports()
        keys = EmbeddedKeys.load_or_create(self._data_dir)
        state = StackState(
            pid=os.getpid(),
            redis_url=self._start_broker(keys),
            database_url=self._start_database(),
            web_url=self.web_url,
            flower_url=self.flower_url,
        )
        state.write(self._data_dir)
        site_setup.use_stack(state)
        self._start_site(keys)
        return state

    def _require_ports(self) -> None:
        config = self._config
        ports.require_free(config.web_bind, config.web_port, "NETRAVEN_WEB_PORT")
        ports.require_free(ports.LOOPBACK, config.flower_port, "NETRAVEN_FLOWER_PORT")
        if config.syslog_bind is not None:
            ports.require_free(str(config.syslog_bind), config.syslog_port, "NETRAVEN_SYSLOG_PORT")

    def _start_broker(self, keys: EmbeddedKeys) -> str:
        """The URL of the Redis server: the given one, or the embedded one, started."""
        given = self._config.redis_url
        if given is not None:
            external.require_redis(given.get_secret_value())
            return given.get_secret_value()
        broker = EmbeddedRedis(self._data_dir, keys.redis_password)
        broker.prepare()
        self._supervisor.start(broker.spec())
        self._wait_for({broker.name: broker.answers}, _SERVER_SECONDS)
        return broker.url

    def _start_database(self) -> str:
        """The URL of the database: the given one, or the embedded one, started."""
        given = self._config.database_url
        if given is not None:
            external.require_database(given.get_secret_value())
            return given.get_secret_value()
        database = EmbeddedPostgres(self._data_dir)
        database.prepare()
        self._supervisor.start(database.spec())
        self._wait_for({database.name: database.answers}, _SERVER_SECONDS)
        database.ensure_database()
        return database.url

    def _start_site(self, keys: EmbeddedKeys) -> None:
        """Workers first, as they take the longest; the web needs its static files."""
        self._say("database and broker are running")
        site_setup.migrate()
        site_setup.check_keys(accept_redaction_key=self._accept_redaction_key)
        self._say("the database is set up; starting the workers and the web")
        for spec in (*self._workers, processes.beat(self._config)):
            self._supervisor.start(spec)
        self._supervisor.start(processes.flower(self._config, keys.flower_password))
        if self._config.syslog_bind is not None:
            self._supervisor.start(processes.syslog(self._config))
        self.first_password = site_setup.create_first_user()
        if site_setup.collect_static_files():
            self._say("static files are collected")
        self._supervisor.start(processes.web(self._config))

    def _web_answers(self) -> bool:
        host = ports.local_address(self._config.web_bind)
        allowed = [name.lstrip(".") for name in self._config.allowed_hosts if name != "*"]
        return ports.answers_http(
            host, self._config.web_port, "/healthz", host_header=next(iter(allowed), None)
        )

    def _flower_answers(self) -> bool:
        return ports.answers_http(ports.LOOPBACK, self._config.flower_port, "/healthcheck")

    def _syslog_listens(self) -> bool:
        host = ports.local_address(str(self._config.syslog_bind))
        return ports.accepts(host, self._config.syslog_port)

    def _workers_answer(self) -> bool:
        nodes = [processes.node_name(spec.name) for spec in self._workers]
        answers = celery_app.control.ping(nodes, timeout=_PING_SECONDS, limit=len(nodes))
        return len(answers or []) == len(nodes)

    def _wait_for(self, checks: Mapping[str, Callable[[], bool]], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        waiting = dict(checks)
        while waiting:
            reason = self._supervisor.failure()
            if reason is not None:
                raise StackError(reason)
            waiting = {name: check for name, check in waiting.items() if not check()}
            if waiting and time.monotonic() > deadline:
                raise StackError(
                    f"no answer within {timeout:.0f} s from {', '.join(waiting)}; "
                    f"look into {self._data_dir / 'log'}"
                )
            time.sleep(_POLL_SECONDS)

    def _take_signals(self) -> None:
        self._old_handlers = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
        if self._old_handlers[signal.SIGHUP] is signal.SIG_IGN:  # started by nohup
            del self._old_handlers[signal.SIGHUP]
        self._handle_signals(signal.default_int_handler)

    def _handle_signals(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        for number in self._old_handlers:
            signal.signal(number, handler)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
