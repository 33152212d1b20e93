# Untested by CI, which has no Docker engine. Build: docker build -t spendglass .
FROM python:3.11-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev
COPY . .
# collectstatic needs settings that load, not secrets.
RUN .venv/bin/python manage.py collectstatic --no-input

FROM python:3.11-slim-bookworm
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
# A stopped container gives its tasks back within seconds (Celery's soft shutdown).
ENV REMAP_SIGTERM=SIGQUIT
RUN useradd --system --no-create-home spendglass
WORKDIR /app
COPY --from=build /app /app
USER spendglass
EXPOSE 8000
# glibc keeps an arena for each thread otherwise, and gives little of it back.
ENV MALLOC_ARENA_MAX=2
# Two processes; WEB_CONCURRENCY and WEB_THREADS change that. See docs/operations.md.
CMD ["gunicorn", "--config", "config/gunicorn.py", "--no-control-socket", "config.wsgi"]
