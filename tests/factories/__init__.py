"""Rows for tests: valid by default, a keyword away from anything else."""

from __future__ import annotations

from tests.factories.backups import backup_outcome
from tests.factories.credentials import CredentialFactory, TagFactory
from tests.factories.inventory import DeviceFactory, JumpHostFactory, ZoneFactory
from tests.factories.jobs import (
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    PlatformDetectionFactory,
)
from tests.factories.users import UserFactory, user_in, user_with

__all__ = [
    "CredentialFactory",
    "DeviceFactory",
    "DeviceResultFactory",
    "JobFactory",
    "JobRunFactory",
    "JumpHostFactory",
    "PlatformDetectionFactory",
    "TagFactory",
    "UserFactory",
    "ZoneFactory",
    "backup_outcome",
    "user_in",
    "user_with",
]
