"""What files of devices look like: our CSV, and what other programs keep. Text in, data out."""

from __future__ import annotations

from inventory.formats.csv_devices import CSV_COLUMNS, read_csv
from inventory.formats.netbox import read_netbox
from inventory.formats.oxidized import OxidizedSource, read_oxidized, read_oxidized_config
from inventory.formats.platform_names import ForeignPlatforms
from inventory.formats.rancid import read_rancid
from inventory.formats.records import DeviceRecord, FileUnreadable, Login, Reading, no_text

__all__ = [
    "CSV_COLUMNS",
    "DeviceRecord",
    "FileUnreadable",
    "ForeignPlatforms",
    "Login",
    "OxidizedSource",
    "Reading",
    "no_text",
    "read_csv",
    "read_netbox",
    "read_oxidized",
    "read_oxidized_config",
    "read_rancid",
]
