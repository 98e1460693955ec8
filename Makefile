# "make lab" to use it, "make test" to test it; both do all the set-up in .venv. "make help" lists the rest.

PYTHON ?= python3
VENV ?= .venv
# More arguments for JupyterLab, for example LAB_ARGS="--no-browser --port=8890"
LAB_ARGS ?=
NOTEBOOK ?= notebooks/01-what-is-in-a-savedmodel.ipynb
# More arguments for pytest, for example PYTEST_ARGS="-k rename -x"
PYTEST_ARGS ?=

export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?= -1

PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest -v $(PYTEST_ARGS)
# uv installs in seconds what takes pip minutes; where uv cannot be had, pip does the same.
INSTALL = $$($(PY) -m uv --version >/dev/null 2>&1 && echo $(PY) -m uv pip install --python $(PY) || echo $(PY) -m pip install)
# Chromium as a browser test finds it: the variable CHROMIUM, then what is on the PATH, then playwright's own.
HAVE_CHROMIUM = $(PY) tests/browser/chromium.py >/dev/null
# What the clients in other languages are run with.
HAVE_LANGUAGES = command -v curl >/dev/null && command -v node >/dev/null && command -v go >/dev/null && command -v java >/dev/null

.NOTPARALLEL:
.PHONY: help lab setup setup-test chromium languages test lint unit integration browser lowest bench clean

help:
	@echo "make lab          set up .venv and open JupyterLab on the first notebook"
	@echo "make test         set up .venv and Chromium; run lint and all tests"
	@echo "make lint         ruff and mypy"
	@echo "make unit         the tests without TensorFlow (seconds)"
	@echo "make integration  the tests with TensorFlow, and the notebooks"
	@echo "make browser      the tests in a real JupyterLab"
	@echo "make lowest       the unit tests with the lowest versions that setup.cfg allows"
	@echo "make bench        the benchmark behind the claims about speed"
	@echo "make clean        remove what tools leave behind (not $(VENV))"

lab: setup
	$(PY) -m jupyterlab --ServerApp.ip=127.0.0.1 $$(test "$$(id -u)" != 0 || echo --allow-root) \
		--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
		--ServerApp.root_dir="$(CURDIR)" --LabApp.default_url="/lab/tree/$(NOTEBOOK)" $(LAB_ARGS)

setup: $(VENV)/.stamp-lab
setup-test: $(VENV)/.stamp-test

# The stamps say with which setup.cfg the environment was made, so that a second "make" installs nothing.
$(VENV)/.stamp-python: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
		echo "Python 3.11, 3.12 or 3.13 is needed, and PYTHON=$(PYTHON) is not one of them" \
			"($$($(PYTHON) --version 2>&1 | head -n 1)); say for example: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu install the package python3-venv" >&2; \
		exit 1; }
	@$(PY) -m pip install --quiet uv || echo "uv cannot be installed, so pip is used: that takes some minutes more"
	@touch $@

$(VENV)/.stamp-lab: $(VENV)/.stamp-python setup.cfg
	$(INSTALL) --editable '.[tensorflow,lab]'
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-python setup.cfg
	$(INSTALL) --editable '.[tensorflow,lab,keras2,serving,serving-api,test]'
	@touch $@ $(VENV)/.stamp-lab

chromium: setup-test
	@$(HAVE_CHROMIUM) 2>&1 || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium fonts-dejavu-core; } || true
	@$(HAVE_CHROMIUM) 2>&1 || $(PY) -m playwright install $$(test "$$(id -u)" != 0 || echo --with-deps) chromium || true
	@$(HAVE_CHROMIUM) || true

languages:
	@$(HAVE_LANGUAGES) || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -q && \
		for package in curl:curl node:nodejs go:golang-go java:default-jdk-headless; do \
			command -v $${package%%:*} >/dev/null || DEBIAN_FRONTEND=noninteractive \
				apt-get install -q -y --no-install-recommends $${package##*:}; done; } || true
	@$(HAVE_LANGUAGES) || echo "curl, node, go and java run the clients; those that are missing are not tested"

# Every part runs, also after a failure in an earlier one, and one failure fails the whole.
test: setup-test
	@$(MAKE) --no-print-directory --keep-going lint unit integration browser

lint: setup-test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

unit: setup-test
	$(PYTEST) tests/unit

integration: setup-test languages
	$(PYTEST) tests/integration

# A run of its own: playwright keeps an event loop alive in the main thread, which asyncio.run elsewhere would trip over.
browser: setup-test chromium
	$(PYTEST) tests/browser

# Without TensorFlow, as an ordinary install, in an environment of its own: what somebody with old libraries gets.
lowest: $(VENV)/.stamp-python
	$(PYTHON) -m venv --clear $(VENV)-lowest
	$(PY) -m uv pip install --python $(VENV)-lowest/bin/python --resolution lowest-direct '.[serving]'
	$(PY) -m uv pip install --python $(VENV)-lowest/bin/python hypothesis import-linter jsonschema pytest pyyaml
	$(VENV)-lowest/bin/pytest -q $(PYTEST_ARGS) tests/unit

bench: setup
	$(PY) benchmarks/first_table.py
	$(PY) benchmarks/edit_export.py
	$(PY) benchmarks/validate_edits.py
	$(PY) benchmarks/requests.py

clean:
	rm -rf $(VENV)-lowest build dist *.egg-info .artifacts
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name $(VENV) -prune -o -name .git -prune -o -type d -name __pycache__ -exec rm -rf {} +
