# Everything starts here: `make help`. Each target sets up .venv first, if it is not there or not current.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full fuzz faults audit lint lock clean
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# A file of tests runs in one process, the slow ones of flows/ first; more than four at once would want much memory.
AT_ONCE := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The demo's own folders: make demo ARTWORKS=dir PHOTOS=dir
ARTWORKS ?=
PHOTOS ?=

# Nothing here phones home. DO_NOT_TRACK is read as a word, not as 1.
export DO_NOT_TRACK := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1
export NO_ALBUMENTATIONS_UPDATE := 1
export ORT_DISABLE_TELEMETRY := 1

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  make demo ARTWORKS=dir PHOTOS=dir    the demo on your own folders; the style takes the folder name'
	@echo '  PYTHON=/path/to/python make setup    choose the Python (3.11 or 3.12)'

setup: $(STAMP) ## make .venv from requirements.lock (a 5.4 GB download the first time)

$(STAMP): requirements.lock pyproject.toml scripts/setup.sh scripts/preflight.sh
	@sh scripts/setup.sh $(VENV)

demo: $(STAMP) ## samples to a promoted model and a gallery, on a CPU, in minutes
	@$(BIN)/python -m pipeline.demo $(if $(ARTWORKS),--artworks '$(ARTWORKS)') $(if $(PHOTOS),--photos '$(PHOTOS)')

test: lint ## ruff, mypy --strict and the test suite
	@$(BIN)/python -m pytest $(AT_ONCE)

test-full: lint ## the same with the slow tests; writes benchmarks/results/test-full.txt
	@$(BIN)/python scripts/test_full.py $(AT_ONCE)

fuzz: $(STAMP) ## 5,000 damaged images through ingestion; writes benchmarks/results/fuzz.txt
	@$(BIN)/python -m tests.fuzz

faults: $(STAMP) ## the fault tests three times in a row; writes benchmarks/results/faults.md
	@$(BIN)/python -m scripts.faults

audit: $(STAMP) ## known vulnerabilities of what is locked, by pip-audit; skipped with a word where it cannot ask
	@$(BIN)/python -m scripts.audit

lint: $(STAMP) ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/mypy

lock: ## resolve pyproject.toml anew for Python 3.11 and 3.12 and write requirements.lock
	@python=$$(sh scripts/preflight.sh $(VENV)) && "$$python" scripts/lock.py

clean: ## remove work/ (the demo with it) and tools' caches; .venv, data/ and var/ stay
	rm -rf work .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
