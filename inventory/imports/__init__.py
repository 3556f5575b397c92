"""Importing devices from files: all or nothing, update or create by hostname."""

from __future__ import annotations

from inventory.imports.devices import ImportFailed, ImportResult, devices_import
from inventory.imports.files import ImportFormat, ImportOptions, file_import

__all__ = [
    "ImportFailed",
    "ImportFormat",
    "ImportOptions",
    "ImportResult",
    "devices_import",
    "file_import",
]
