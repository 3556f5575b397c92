"""Reads devices with Netmiko: the only package that imports Netmiko and Paramiko.

Netmiko knows how to log in, prepare the terminal and enter the privileged mode of each platform.
Reading an answer is done here, because Netmiko's own reading has no bound on the output, waits out
the whole timeout when a connection drops, and stops at a line that only looks like the prompt.
"""

from backups.engine.netmiko_collector.collector import NetmikoCollector

__all__ = ["NetmikoCollector"]
