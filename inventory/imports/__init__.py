"""Importing devices from files: all or nothing, update or create by hostname."""

from __future__ import annotations

from inventory.imports.devices import ImportFailed, ImportResult
from inventory.imports.files import (
    MAX_IMPORT_BYTES,
    MAX_IMPORT_DEVICES,
    ImportFormat,
    ImportOptions,
    file_import,
)

__all__ = [
    "MAX_IMPORT_BYTES",
    "MAX_IMPORT_DEVICES",
    "ImportFailed",
    "ImportFormat",
    "ImportOptions",
    "ImportResult",
    "file_import",
]
