from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "netraven_site"
    verbose_name = "NetRaven"
