"""More sessions at once than a database commonly has connections."""

from __future__ import annotations

from typing import LiteralString

import pytest

from netraven_site.demo.simulator import Fault, FaultKind
from tests.faults.lab import Lab, running_lab
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]

_SESSIONS = 130
#: What PostgreSQL allows unless it is told otherwise.
_CONNECTIONS = 100
#: Milliseconds before each answer: all sessions have begun before the first one ends.
_LONG = Fault(FaultKind.SLOW, 3_000)
_END_SECONDS = 240.0


def test_many_sessions_need_few_database_connections(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    directory = tmp_path_factory.mktemp("many")
    settings = {
        "NETRAVEN_WORKER_CONCURRENCY": str(_SESSIONS // 2),
        # So many log-ins at once may delay a heartbeat for longer than the other tests allow.
        "NETRAVEN_LEASE_SECONDS": "60",
        "NETRAVEN_MESSAGE_TTL_SECONDS": "60",
    }
    with running_lab(directory, settings, _SESSIONS) as lab:
        lab.wait_workers()
        run = lab.start_run(fault=_LONG)
        sessions, connections = most_at_once(lab, run)
        assert sessions > _CONNECTIONS > connections, (sessions, connections)
        outcome = lab.outcome(run)
        assert outcome.status == "COMPLETED_SUCCESS", outcome
        assert (outcome.attempts, outcome.losses) == (_SESSIONS, 0)


def most_at_once(lab: Lab, run: int) -> tuple[int, int]:
    """The most sessions and the most database connections that there were until the run's end."""
    seen: list[tuple[int, int]] = []

    def ended() -> bool:
        [(is_over, *counts)] = lab.rows(_LOOK, run, run)
        seen.append(tuple(counts))
        return bool(is_over)

    wait_for(ended, f"the end of run {run}", _END_SECONDS)
    sessions, connections = zip(*seen, strict=True)
    return max(sessions), max(connections)


_LOOK: LiteralString = """
    SELECT (SELECT finished_at IS NOT NULL FROM jobs_jobrun WHERE id = %s),
           (SELECT count(*) FROM jobs_deviceresult WHERE run_id = %s AND status = 'RUNNING'),
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""
