"""The lines of gunicorn itself, in the form of all others; ``--logger-class`` names the class."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn import glogging

from netraven_site.log_format import RedactedFormatter, log_stream


class GunicornLog(glogging.Logger):
    """Requests are told by ``netraven_site.log_context``; this is about the server."""

    def setup(self, cfg: Any) -> None:
        from netraven_site.config_loading import load_config

        super().setup(cfg)
        handler = logging.StreamHandler(log_stream())
        handler.setFormatter(RedactedFormatter(load_config().log_format))
        self.error_log.handlers = [handler]
