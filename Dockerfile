# One image for every process of NetRaven: web, workers, beat, Flower and the commands.
# docs/howto/docker.md explains how it is run.

FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY requirements.lock ./
# Nothing beyond the lock file, and no package that runs code of its own while it is installed.
RUN pip install --no-deps --only-binary=:all: --requirement requirements.lock && pip check

WORKDIR /opt/netraven
COPY . .
RUN python -m compileall -q .
# Settings want keys. Without DATABASE_URL they are generated into the data directory: keys that
# have encrypted nothing, are removed in the same step and are not copied to the image.
# This stage has no git, and needs none.
RUN NETRAVEN_DATA_DIR=/tmp/build python manage.py collectstatic --noinput --verbosity=0 \
    && rm /tmp/build/keys.json


FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="NetRaven" \
      org.opencontainers.image.description="Backs up the configurations of network devices and tracks every change." \
      org.opencontainers.image.licenses="Apache-2.0"

# git keeps the configurations; openssh-client is for a Git remote that is reached over SSH.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 netraven \
    && useradd --system --uid 10001 --gid netraven --no-create-home --home-dir /nonexistent \
       --shell /usr/sbin/nologin netraven \
    && install --directory --owner=netraven --group=netraven --mode=0750 \
       /var/lib/netraven /var/lib/netraven/configs.git

COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/netraven /opt/netraven
COPY --from=build /tmp/build/static /var/lib/netraven/static

# WEB_CONCURRENCY is the number of gunicorn's worker processes. MALLOC_: glibc would give each thread
# an arena of its own and keep what long answers of devices took (mallopt(3)).
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=netraven_site.settings \
    NETRAVEN_DATA_DIR=/var/lib/netraven \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=262144 \
    MALLOC_TRIM_THRESHOLD_=262144 \
    WEB_CONCURRENCY=2

WORKDIR /opt/netraven
USER 10001:10001
EXPOSE 8000

# The headers keep host check and redirect to https out of it; localhost has to be an allowed host.
HEALTHCHECK --interval=15s --timeout=6s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=5); c.request('GET', '/healthz', headers={'Host': 'localhost', 'X-Forwarded-Proto': 'https'}); raise SystemExit(c.getresponse().status != 200)"]

CMD ["gunicorn", "netraven_site.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--threads", "4", "--preload", "--no-control-socket", "--graceful-timeout", "10", "--log-level", "warning", "--logger-class", "netraven_site.gunicorn_log.GunicornLog"]
