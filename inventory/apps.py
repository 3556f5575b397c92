from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import register

from inventory.checks import check_platform_files
from inventory.platforms import use_directory


class InventoryConfig(AppConfig):
    name = "inventory"
    verbose_name = "Inventory"

    def ready(self) -> None:
        use_directory(settings.NETRAVEN.platform_directory)
        register(check_platform_files)
