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
 && HATCH_BUILD_HOOK_ENABLE_MYPYC=true PIP_CONSTRAINT=/src/constraints.txt \
    /opt/tandem/bin/pip install --no-cache-dir --quiet '.[postgres]'

FROM python:3.13-slim
COPY --from=build /opt/tandem /opt/tandem
RUN useradd --system --uid 10001 --home-dir /data --create-home tandem
ENV PATH="/opt/tandem/bin:$PATH" PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8780 8781
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s CMD ["kvctl", "health"]
CMD ["kvctl", "up"]
