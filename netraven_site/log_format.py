"""How lines of the log are written: each has passed the redactor."""

from __future__ import annotations

import logging


class RedactedFormatter(logging.Formatter):
    """Formats a record, with its traceback, and takes out what looks like a secret.

    Whoever logs an error of a library cannot know what the library quotes. A record that cannot be
    redacted is withheld, but for its place.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The lines of ``record``, redacted."""
        # Logging is set up before the rules can be read, and most commands log nothing.
        from backups.engine.errors import DeviceError
        from backups.services.redaction import installation_redactor

        try:
            return installation_redactor().redact_message(super().format(record))
        except DeviceError:
            return (
                f"{record.levelname} {record.name} (withheld: this message could not be redacted)"
            )
