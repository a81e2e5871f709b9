# Each target works on a fresh machine: it makes .venv and installs what it needs first.
# PYTHON chooses the interpreter (3.10 to 3.13), e.g. `make test PYTHON=python3.12`.

PYTHON ?= python3
VENV := .venv
# What `pip install quantal` brings: no torch.
LIGHT := .venv-light
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# What needs Node is left out where there is no Node from 20 on.
NODE := $(shell node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null && echo 20)

.PHONY: demo test test-all wheel-test fuzz benchmark lint web docs docs-serve clean help

help:
	@echo "make demo    compress a photograph and show the figures beside JPEG and WebP"
	@echo "make test    lint, then run the tests; make test-all also runs the thorough ones"
	@echo "make wheel-test   build the wheels and try them in an empty environment, without torch"
	@echo "make fuzz    damage files for a minute, or for SECONDS=600"
	@echo "make benchmark KODAK=DIR   measure docs/results anew (benchmarks/publish.py)"
	@echo "make lint    ruff, mypy, import-linter"
	@echo "make web     build the page of quantal view, and a folder for web hosts (needs Node 20)"
	@echo "make docs    build the documentation into site/"
	@echo "make clean   remove environments and all caches"

demo: $(LIGHT)/.stamp
	$(LIGHT)/bin/python examples/demo.py

# `test` leaves out tests that are marked as thorough, `test-all` none.
test test-all: lint $(LIGHT)/.stamp $(if $(NODE),web/node_modules/.package-lock.json)
	QUANTAL_LIGHT_PYTHON=$(CURDIR)/$(LIGHT)/bin/python \
	  $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(if $(filter test-all,$@),-m "")

# Sdist, wheel and packages of weights, built and tried from scratch in $(WHEEL). Tests run in a
# copy of the folder alone, so that nothing of the checkout is imported; tests/wheel.txt lists them.
WHEEL := .wheel-test

wheel-test:
	rm -rf $(WHEEL)
	$(PYTHON) -m venv $(WHEEL)/build
	$(PYTHON) -m venv $(WHEEL)/installed
	$(WHEEL)/build/bin/python -m pip --disable-pip-version-check install --quiet build
	$(WHEEL)/build/bin/python -m build --outdir $(WHEEL)/dist .
	for each in packages/*/; do \
	  $(WHEEL)/build/bin/python -m build --wheel --outdir $(WHEEL)/dist $$each || exit 1; done
	$(WHEEL)/installed/bin/python -m pip --disable-pip-version-check install --quiet \
	  $(WHEEL)/dist/*.whl "pytest>=8.2" pytest-timeout hypothesis scikit-image
	mkdir $(WHEEL)/copy && cp -r tests pyproject.toml $(WHEEL)/copy
	cd $(WHEEL)/copy && QUANTAL_LIGHT_PYTHON=$(CURDIR)/$(WHEEL)/installed/bin/python \
	  ../installed/bin/python -m pytest @tests/wheel.txt

fuzz: $(VENV)/.stamp-dev
	$(BIN)/python -m tests.robustness.fuzz --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1)

KODAK ?= ../shared/data/kodak
CID22 ?= $(wildcard ../shared/data/test/cid22)
PUBLISHED ?= $(wildcard ../shared/reference/compressai/image/kodak)
PERCEPTUAL ?= $(wildcard ../shared/data/perceptual)

benchmark: $(VENV)/.stamp-dev
	$(BIN)/python benchmarks/publish.py --kodak $(KODAK) $(if $(CID22),--cid22 $(CID22)) \
	  $(if $(PUBLISHED),--published $(PUBLISHED)) $(if $(PERCEPTUAL),--perceptual $(PERCEPTUAL))

lint: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# quantal/page is what quantal view serves, and travels in the wheel; web/dist/page has the models
# beside it, and is for any web host.
web: $(VENV)/.stamp-dev web/node_modules/.package-lock.json
	cd web && npm run build
	rm -rf quantal/page && cp -r web/dist/page quantal/page
	$(BIN)/python -m quantal.codecs.packed web/dist/page/models

docs: $(VENV)/.stamp-docs
	$(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.stamp-docs
	$(BIN)/mkdocs serve

# torch and torchvision are resolved in one call, so that they fit each other. CompressAI, which
# serves comparisons only, has no wheel for every Python; without one the rest goes on.
$(VENV)/.stamp-dev: pyproject.toml | $(VENV)/bin/python
	@$(PIP) install --quiet --only-binary compressai -e ".[dev,compressai]" || { \
	  echo "CompressAI can't be had for this Python or machine: going on without it;"; \
	  echo "tests and benchmarks that compare with it will be skipped."; \
	  $(PIP) install --quiet -e ".[dev]"; }
	@touch $@

# Of scikit-image the demo reads one photograph, so what else it would bring is left out.
$(LIGHT)/.stamp: pyproject.toml | $(LIGHT)/bin/python
	@$(LIGHT)/bin/python -m pip --disable-pip-version-check install --quiet -e .
	@$(LIGHT)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps scikit-image
	@touch $@

$(LIGHT)/bin/python:
	$(PYTHON) -m venv $(LIGHT)

$(VENV)/.stamp-docs: $(VENV)/.stamp-dev
	@$(PIP) install --quiet -e ".[docs]"
	@touch $@

web/node_modules/.package-lock.json: web/package-lock.json
	@cd web && npm ci --ignore-scripts --no-audit --no-fund || { \
	  rm -rf node_modules; echo "No packages for web/: what needs them can't be built or tested."; }

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf web/node_modules web/dist quantal/page
	rm -rf $(VENV) $(LIGHT) $(WHEEL) site build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
