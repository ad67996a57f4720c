# One image for every part: `python -m gateway`, `python -m consumers`, `python -m operations`, `python -m sql migrate`.

ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements-runtime.lock .
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-runtime.lock \
    && /venv/bin/pip uninstall --yes pip
WORKDIR /app
COPY contract contract
COPY runtime runtime
COPY providers providers
COPY gateway gateway
COPY consumers consumers
COPY ledger ledger
COPY operations operations
COPY sql sql
COPY sources.toml .
# The version is read from it.
COPY pyproject.toml .
# A checkout made with a strict umask can be read by its owner only; the image runs as another user.
RUN chmod -R a+rX . && python -m compileall -q contract runtime providers gateway consumers ledger operations sql

FROM ${PYTHON_IMAGE}
# PYTHONPATH, so that the programs start from any folder of an image built on this one.
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
# A number, so that Kubernetes' `runAsNonRoot` can check it without reading the image.
USER 10001:10001
CMD ["python", "-m", "gateway"]
