"""The web application for gunicorn."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from netraven_site import loading

if TYPE_CHECKING:
    from netraven_site.key_gate import KeyGate

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")


def _application() -> KeyGate:
    django = get_wsgi_application()
    # Imports models, which Django has loaded only now.
    from netraven_site.key_gate import KeyGate

    # The first request would load all pages, in each process of gunicorn again.
    loading.begin()
    import_module(settings.ROOT_URLCONF)
    loading.end()
    return KeyGate(django)


application = _application()
