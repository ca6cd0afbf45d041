# One image for all six services: `docker run IMAGE python -m loom_extractor`. For evaluators and providers that need
# more than Loom brings: `docker build --build-arg EVALUATOR_EXTRAS=arbiter,embeddings --build-arg AI_EXTRAS=providers .`;
# for connectors that do: `--build-arg CONNECTOR_EXTRAS=objects,arrow,duckdb`; for credentials in AWS Secrets Manager:
# `--build-arg COMMON_EXTRAS=aws`; for signing in at an OpenID provider: `--build-arg API_EXTRAS=oidc`.

FROM python:3.12-slim AS build
RUN pip install --no-cache-dir 'uv>=0.5'
WORKDIR /build
# Compiled as it is installed: the services' user can write nothing beside it, and would compile it at every start.
COPY requirements.lock ./
RUN python -m venv /opt/loom \
    && uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python --require-hashes --requirement requirements.lock
COPY libs libs
COPY services services
COPY migrations migrations
RUN uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python --no-deps --no-build-isolation \
    ./libs/* ./services/* ./migrations
ARG EVALUATOR_EXTRAS=
RUN test -z "$EVALUATOR_EXTRAS" || uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python \
    --constraint requirements.lock "./services/evaluator[$EVALUATOR_EXTRAS]"
ARG AI_EXTRAS=
RUN test -z "$AI_EXTRAS" || uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python \
    --constraint requirements.lock "./libs/loom_ai[$AI_EXTRAS]"
ARG COMMON_EXTRAS=
RUN test -z "$COMMON_EXTRAS" || uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python \
    --constraint requirements.lock "./libs/loom_common[$COMMON_EXTRAS]"
ARG API_EXTRAS=
RUN test -z "$API_EXTRAS" || uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python \
    --constraint requirements.lock "./services/api[$API_EXTRAS]"
ARG CONNECTOR_EXTRAS=
RUN test -z "$CONNECTOR_EXTRAS" || uv pip install --no-cache --compile-bytecode --python /opt/loom/bin/python \
    --constraint requirements.lock "./libs/loom_connectors[$CONNECTOR_EXTRAS]"

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin loom \
    && install --directory --owner loom --group loom /project
COPY --from=build /opt/loom /opt/loom
ENV PATH=/opt/loom/bin:$PATH PYTHONUNBUFFERED=1 LOOM_PROJECT_DIR=/project
WORKDIR /project
USER loom
CMD ["loom", "--help"]
