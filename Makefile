# The commands that users and contributors need. Each sets up .venv first, from the pinned versions in requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
# The uv in PATH, else one that pip brings into .venv; `make UV=` does without. Where uv fails, pip does the same.
UV ?= $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
UV_OF_LOCK := sed -n '/^uv==/,/[^\\]$$/p' requirements.lock
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# pip compiles what it installs, uv leaves that to the first import, which would not keep it where Python is told not to.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)
INSTALL = $(if $(UV),$(UV) pip install --quiet $(COMPILE) --python $(BIN)/python $(1) || )$(PIP) $(1)

.PHONY: compare test docs notebooks chromium lint lock release clean

compare: .venv/.installed  ## train and compare the four strategies: make compare ARGS="--seeds 3"
	$(BIN)/headstart compare $(ARGS)

test: .venv/.installed chromium  ## the whole test suite, in two processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

docs: .venv/.installed  ## the documentation as pages that need no network: docs/_build/index.html
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

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

# uv reads nothing of pip's configuration: the index that is named there is handed over, unless uv was given its own.
PIP_INDEX = $(shell $(PYTHON) -m pip config list 2>/dev/null | sed -nE "s/^(global|:env:)[.]index-url='(.*)'/\2/p" | head -n 1)
.venv/.installed lock release: export UV_DEFAULT_INDEX ?= $(or $(UV_INDEX_URL),$(PIP_INDEX))

define VENV
$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'headstart needs Python 3.11 or newer: make PYTHON=python3.12 ...')"
$(PYTHON) -m venv .venv
$(if $(filter $(BIN)/uv,$(UV)),-$(UV_OF_LOCK) | $(PIP) --require-hashes --requirement /dev/stdin)
endef

.venv/.installed: pyproject.toml requirements.lock
	$(VENV)
	$(call INSTALL,--require-hashes --requirement requirements.lock)
	$(call INSTALL,--no-deps --editable .)
	touch $@

lock:  ## renew requirements.lock from pyproject.toml
	$(VENV)
	$(or $(UV),uv) pip compile pyproject.toml --extra cpu --extra dev --extra explain --extra export --extra demo --extra docs --extra lite --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.lock

# The wheel is set up alone, as who installs it has it; where it lay is nobody's business.
release: $(if $(filter $(BIN)/uv,$(UV)),.venv/.installed)  ## dist/: wheel, sdist; build/: what an installation holds, as SBOM and licences
	rm -rf dist build
	$(UV) build --quiet --out-dir dist
	$(UV) venv --quiet --python $(PYTHON) build/installed
	$(UV) pip install --quiet --python build/installed/bin/python dist/*.whl
	cd build && PYTHONPATH= installed/bin/headstart --version
	rm build/installed/lib/python*/site-packages/headstart-*.dist-info/direct_url.json
	$(UV) tool run --quiet --from cyclonedx-bom cyclonedx-py environment --output-file build/sbom.cdx.json build/installed/bin/python
	$(UV) tool run --quiet pip-licenses --python build/installed/bin/python --with-urls --format=csv --output-file build/licences.csv
	rm -rf build/installed

clean:
	rm -rf .venv
