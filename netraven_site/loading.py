"""Loads the site without Python's search for garbage, which would take an eighth of a start.

Loading makes a million objects that stay, and the collector goes through all of them again whenever
a quarter has been added.
"""

from __future__ import annotations

import gc

from celery.signals import worker_before_create_process

_USUAL = gc.get_threshold()
#: Should loading never end, garbage is still found, only later.
_RARE = (100_000, 20, 20)


def begin() -> None:
    """Search rarely from here on."""
    gc.set_threshold(*_RARE)


def end() -> None:
    """Search as usual again, and never among what is there by now."""
    gc.freeze()
    gc.set_threshold(*_USUAL)


def connect() -> None:
    """Have a worker load what its sessions need before it forks: a child lives for one device."""
    worker_before_create_process.connect(_before_fork, dispatch_uid="netraven-loading")


def _before_fork(**_: object) -> None:
    # Its modules need the settings.
    from backups.engine.git.command import load_gitpython
    from backups.engine.netmiko_collector import load_drivers
    from inventory.platforms import all_redaction_rules

    load_drivers()
    load_gitpython()
    # A child that is told to end has two seconds to say so in the log, which is redacted.
    all_redaction_rules()
