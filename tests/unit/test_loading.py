"""While the site is loaded, Python looks for garbage rarely; afterwards as ever."""

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


def test_the_collector_works_as_usual_once_the_site_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE], cwd=PROJECT_DIR, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["True"] * 3, done.stdout + done.stderr


def test_garbage_is_collected_in_this_very_process() -> None:
    assert gc.isenabled() and gc.get_threshold()[0] < 10_000
