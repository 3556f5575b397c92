"""Which queues somebody takes tasks from."""

from __future__ import annotations

from jobs.selectors.workers import workers_alive


def queues_served() -> frozenset[str] | None:
    """The queues that living worker processes take tasks from, by name.

    None where no process has given a sign of life within a lease: then nothing is known.
    """
    processes = list(workers_alive())
    if not processes:
        return None
    return frozenset(queue for process in processes for queue in process.queues)
