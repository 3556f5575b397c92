"""The site: settings, typed configuration, Celery app, URLs, the embedded stack and the demo."""

from netraven_site.celery import app as celery_app

__all__ = ["celery_app"]
