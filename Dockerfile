# One image holds every program; the command chooses which one runs.
FROM python:3.13 AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY tandem tandem
COPY kvgateway kvgateway
COPY kvsp kvsp
COPY crawler crawler
COPY kvctl kvctl
# The hot paths are compiled: pyproject.toml says which.
RUN python -m venv /opt/tandem \
 && CFLAGS=-Wno-misleading-indentation HATCH_BUILD_HOOK_ENABLE_MYPYC=true PIP_CONSTRAINT=/src/constraints.txt \
    /opt/tandem/bin/pip install --no-cache-dir --quiet '.[postgres]'

FROM python:3.13-slim
RUN useradd --no-log-init --uid 10001 --home-dir /data --no-create-home tandem \
 && install --directory --owner=tandem --group=tandem --mode=0700 /data
COPY --from=build /opt/tandem /opt/tandem
ENV PATH="/opt/tandem/bin:$PATH" PYTHONUNBUFFERED=1 TANDEM_DATA=/data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8780 8781
# Each check is a process of its own, hence so seldom.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["kvctl", "health"]
CMD ["kvctl", "up"]
