#!/usr/bin/env python
"""NetRaven's command line: ``python manage.py help`` lists the commands."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")
    from netraven_site.config import ConfigurationError, prepare_embedded_keys

    if sys.argv[1:2] in (["up"], ["demo"]):
        try:
            prepare_embedded_keys()
        except ConfigurationError as error:
            raise SystemExit(f"netraven: {error}") from None

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
