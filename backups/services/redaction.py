"""The redactor of this installation."""

from __future__ import annotations

import functools

from django.conf import settings

from backups.engine.redaction import Redactor


@functools.cache
def installation_redactor() -> Redactor:
    """The redactor under the key and keywords of this installation."""
    return Redactor(redaction_key(), settings.NETRAVEN.redaction_keywords)


def redaction_key() -> bytes:
    return settings.NETRAVEN.key("redaction_key").encode()
