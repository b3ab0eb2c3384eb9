# The commands that users and contributors need. Each sets up .venv first, from the pinned versions in requirements.lock.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: compare test notebooks chromium lint lock clean

compare: .venv/.installed  ## train and compare the four strategies: make compare ARGS="--seeds 3"
	$(BIN)/headstart compare $(ARGS)

test: .venv/.installed chromium  ## the whole test suite
	$(BIN)/pytest $(ARGS)

notebooks: .venv/.installed  ## run the notebooks, all of CIFAR-10, and keep what they show
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False notebooks/*.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams notebooks/*.ipynb  # one output a cell that prints

chromium:  ## a browser for the tests of the report's page: set up where we may on Debian; elsewhere those tests skip
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		{ test "$$(id -u)" = 0 && export DEBIAN_FRONTEND=noninteractive && apt-get update -qq -o Acquire::http::Timeout=30 && \
		apt-get install -qq --yes --no-install-recommends chromium >/dev/null; } || \
		echo "no Chromium, and none could be set up: the tests of the page in a browser will be skipped"

lint: .venv/.installed  ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/.installed: pyproject.toml requirements.lock
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'headstart needs Python 3.11 or newer: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

lock:  ## renew requirements.lock from pyproject.toml
	$(PYTHON) -m venv .venv/uv
	.venv/uv/bin/pip install --quiet --disable-pip-version-check uv
	.venv/uv/bin/uv pip compile pyproject.toml --extra cpu --extra dev --extra explain --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.lock

clean:
	rm -rf .venv
