"""What loading the site costs: Python looks for garbage rarely, and what few need stays away."""

from __future__ import annotations

import gc
import subprocess
import sys

from netraven_site.config import PROJECT_DIR

_CODE = """
import gc
usual = gc.get_threshold()
import netraven_site
rare = gc.get_threshold()
import django
django.setup()
print(rare[0] > 10 * usual[0], gc.get_threshold() == usual, gc.get_freeze_count() > 100_000)
"""
#: Only sessions with devices, the Git store, Vault, one kind of difference and the web need them.
_HEAVY = ("netmiko", "paramiko", "git", "hvac", "hier_config", "jobs.admin", "netraven_site.urls")
_HEAVY_CODE = f"""
import sys
import django
django.setup()
print([name for name in {_HEAVY} if name in sys.modules])
from celery.signals import worker_before_create_process
worker_before_create_process.send(sender=None)
from inventory.platforms import catalogue
print([name for name in {_HEAVY} if name in sys.modules])
print(catalogue._read_catalogue.cache_info().currsize)
"""


def test_the_collector_works_as_usual_once_the_site_is_loaded() -> None:
    assert said_by(_CODE).split() == ["True"] * 3


def test_what_few_processes_need_is_loaded_when_they_do() -> None:
    """The children of a worker that forks live for one device each, and share the drivers."""
    assert said_by(_HEAVY_CODE).splitlines() == ["[]", "['netmiko', 'paramiko', 'git']", "1"]


def said_by(code: str) -> str:
    """What Python prints that runs ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_garbage_is_collected_in_this_very_process() -> None:
    assert gc.isenabled() and gc.get_threshold()[0] < 10_000
