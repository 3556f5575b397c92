"""Errors of the simulator: each message is one line that says what to do."""

from __future__ import annotations


class SimulatorError(Exception):
    """The simulator cannot do what was asked; the message is meant for people."""
