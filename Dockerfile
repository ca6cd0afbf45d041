# One image for all six services and for `loom`: `docker run IMAGE python -m loom_extractor`. For evaluators, providers and
# connectors that need more than Loom brings (docs/installing.md): `docker build --build-arg EXTRAS=arbiter,objects .`
# For packages of your own: `FROM loom`, as in deploy/image/Dockerfile.

FROM python:3.12-slim-bookworm AS build
RUN pip install --no-cache-dir 'uv>=0.5'
WORKDIR /build
# Compiled as it is installed: the services' user can write nothing beside it, and would compile it at every start.
COPY requirements.lock ./
RUN python -m venv /opt/loom \
    && uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python --require-hashes --requirement requirements.lock
COPY pyproject.toml distribution.py README.md LICENSE ./
COPY libs libs
COPY services services
COPY migrations migrations
COPY examples examples
RUN uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python --no-deps --no-build-isolation .
ARG EXTRAS=
RUN test -z "$EXTRAS" || uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python \
    --no-build-isolation --constraint requirements.lock ".[$EXTRAS]"

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin loom \
    && install --directory --owner loom --group loom /project
COPY --from=build /opt/loom /opt/loom
ENV PATH=/opt/loom/bin:$PATH PYTHONUNBUFFERED=1 LOOM_PROJECT_DIR=/project
WORKDIR /project
USER loom
CMD ["loom", "--help"]
