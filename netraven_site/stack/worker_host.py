"""Workers alone on a host, for a stack whose servers and web run elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence

from netraven_site.celery import app as celery_app
from netraven_site.config import Config
from netraven_site.stack import processes
from netraven_site.stack.errors import StackError
from netraven_site.stack.output import tolerant
from netraven_site.stack.supervisor import Supervisor

_PING_SECONDS = 1.0
_READY_SECONDS = 120.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class WorkerHost:
    """Starts, watches and stops the workers of some queues; to be used in the main thread.

    While it runs the signals INT, TERM and HUP end it; a second one kills what still runs.
    """

    def __init__(
        self, config: Config, *, queues: Sequence[str], output: Callable[[str], None]
    ) -> None:
        """``output`` gets a line at a time, of the workers and about them."""
        self._say = tolerant(output)
        self._specs = processes.workers_of(config, queues)
        self._supervisor = Supervisor(
            log_directory=config.data_dir.resolve() / "log",
            say=lambda line: self._say(f"netraven: {line}"),
            echo=self._say,
        )

    @property
    def nodes(self) -> list[str]:
        """Celery's names of the workers."""
        return [processes.node_name(spec.name) for spec in self._specs]

    def run(self) -> None:
        """Run the workers until a signal.

        Raises StackError when workers of the same names run already, and when they do not start.
        """
        running = self._answering()
        if running:
            raise StackError(f"{', '.join(running)} runs already; stop it, or choose other queues")
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.default_int_handler)
        try:
            for spec in self._specs:
                self._supervisor.start(spec)
            self._wait_ready()
            self._say(f"netraven: ready: {', '.join(self.nodes)}; press Ctrl-C to stop")
            threading.Event().wait()
        except KeyboardInterrupt:
            self._say("netraven: stopping; press Ctrl-C again to kill what still runs")
        except OSError as error:
            raise StackError(f"the workers cannot be started: {error}") from None
        finally:
            for number in (signal.SIGINT, *_STOP_SIGNALS):
                signal.signal(number, lambda *_: self._supervisor.hurry())
            self._supervisor.stop()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while len(self._answering()) < len(self._specs):
            reason = self._supervisor.failure()
            if reason is not None:
                raise StackError(reason)
            if time.monotonic() > deadline:
                raise StackError(f"no answer within {_READY_SECONDS:.0f} s from the workers")

    def _answering(self) -> list[str]:
        """Which of the workers answer a ping through the broker."""
        answers = celery_app.control.ping(self.nodes, timeout=_PING_SECONDS, limit=len(self._specs))
        return sorted(node for answer in answers or [] for node in answer)
