"""The web application for gunicorn."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from django.core.wsgi import get_wsgi_application

if TYPE_CHECKING:
    from netraven_site.key_gate import KeyGate

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")


def _application() -> KeyGate:
    django = get_wsgi_application()
    # Imports models, which Django has loaded only now.
    from netraven_site.key_gate import KeyGate

    return KeyGate(django)


application = _application()
