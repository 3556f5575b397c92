"""Reads devices with Netmiko: the only package that imports Netmiko and Paramiko.

Netmiko knows how to log in, prepare the terminal and enter the privileged mode of each platform.
Reading an answer is done here, because Netmiko's own reading has no bound on the output, waits out
the whole timeout when a connection drops, and stops at a line that only looks like the prompt.

Both libraries are three hundred modules, a tenth of the start of a process, and most processes
never talk to a device: the first session loads them.
"""

from __future__ import annotations

import importlib

from backups.engine.netmiko_collector.collector import NetmikoCollector

__all__ = ["NetmikoCollector", "load_drivers"]


def load_drivers() -> None:
    """Load what a session needs ahead of it: a process that forks has its children share it."""
    importlib.import_module("backups.engine.netmiko_collector.logged_in")
