# `make` alone lists the targets. They need only make and Python 3.11 or later.

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check --require-hashes
N ?=
ID ?=
KEEP ?=
SOURCE ?=
ARGS ?=
SEED ?= 1
MINUTES ?= 10
JSON ?=
CONFLICT ?=
AS_JSON := $(if $(JSON),--json)
VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
# If it were set, every start of a program would compile all of our files again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up down consumers status logs pending why dead replay discard conflicts resolve release audit demo test lint bench prove schema lock image

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

up: .venv/runtime ## set up and start everything, wait until it answers, print the address (STACK=compose|embedded)
	@$(PY) -m stack up

down: .venv/runtime ## stop everything, keep the data
	@$(PY) -m stack down

consumers: .venv/runtime ## N=4: change the number of workers while they run
	@$(if $(N),,echo "How many? make consumers N=4"; exit 2;) $(PY) -m stack scale $(N)

status: .venv/runtime ## processes, backlog, pending entries, dead letters (JSON=1 for scripts)
	@$(PY) -m stack status $(AS_JSON)

logs: .venv/runtime ## follow the logs of all programs
	@$(PY) -m stack logs

pending: .venv/runtime ## list the waiting entries, oldest first, with the reason (JSON=1)
	@$(PY) -m operations pending $(AS_JSON)

why: .venv/runtime ## ID=<event or payment>: its history, and the next step if it is stuck (JSON=1)
	@$(if $(ID),,echo "Which one? make why ID=evt_1: an event, a payment, or a transfer key such as capture:pi_1"; exit 2;) $(PY) -m operations why "$(ID)" $(AS_JSON)

dead: .venv/runtime ## list the dead letters, with the reason (JSON=1)
	@$(PY) -m operations dead $(AS_JSON)

replay: .venv/runtime ## ID=… or ID=all: put dead letters back into the stream
	@$(if $(ID),,echo "Which? make replay ID=7, or ID=all; \`make dead\` lists them"; exit 2;) $(PY) -m operations replay $(ID)

discard: .venv/runtime ## ID=…: close a dead letter without applying it
	@$(if $(ID),,echo "Which? make discard ID=7; \`make dead\` lists them"; exit 2;) $(PY) -m operations discard $(ID)

conflicts: .venv/runtime ## list the conflicts that wait for a decision, and the facts on hold (JSON=1)
	@$(PY) -m operations conflicts $(AS_JSON)

resolve: .venv/runtime ## ID=… KEEP=booked|reported: decide about a conflict, or all conflicts of a payment
	@$(if $(and $(ID),$(KEEP)),,echo "Which, and which amount is right? make resolve ID=7 KEEP=booked, or KEEP=reported; \`make conflicts\` lists them"; exit 2;) $(PY) -m operations resolve $(ID) --keep $(KEEP) $(AS_JSON)

release: .venv/runtime ## SOURCE=…: book the facts on hold as unsigned, once the source has trust = "all"
	@$(if $(SOURCE),,echo "Which source? make release SOURCE=paypal; \`make conflicts\` lists what is on hold"; exit 2;) $(PY) -m operations release $(SOURCE) $(AS_JSON)

audit: .venv/runtime ## check the invariants on the live system; exit 1 if one is broken (JSON=1)
	@$(PY) -m operations audit $(AS_JSON)

demo: .venv/runtime ## send 4,000 signed deliveries of 160 events, kill workers meanwhile, check the result (CONFLICT=1 JSON=1)
	@$(PY) -m stack demo $(AS_JSON) $(if $(CONFLICT),--conflict)

test: .venv/dev ## all tests, against real Valkey and PostgreSQL (ARGS=… for pytest)
	@$(PY) -m pytest -n auto --dist worksteal $(ARGS)

lint: .venv/dev ## ruff, mypy --strict, and the import rules between the rooms
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: .venv/dev ## the benchmarks: both sides of each comparison and their ratio (ARGS=…)
	@$(PY) -m tests.benchmarks $(ARGS)

prove: .venv/dev ## random histories of payments, then long fault tests (SEED=1 MINUTES=10); exit 1 if a guarantee broke
	@$(PY) -m pytest tests/ledger --hypothesis-profile=prove --hypothesis-seed=$(SEED)
	@$(PY) -m tests.adversity.prove --seed $(SEED) --minutes $(MINUTES)

schema: .venv/dev ## generate sql/schema.sql after a new migration
	@$(PY) -m tests.support.schema

image: ## build the container image, tagged with the version
	docker build --tag payment-webhooks --tag payment-webhooks:$(VERSION) --tag payment-webhooks:$(basename $(VERSION)) .

lock: ## pin all dependencies with hashes (UPGRADE=1: the newest versions)
	@rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv && .lock-venv/bin/python -m pip install --quiet uv
	@$(COMPILE) --extra embedded --extra dev --output-file requirements-dev.lock
	@$(COMPILE) --constraint requirements-dev.lock --extra embedded --output-file requirements.lock
	@$(COMPILE) --constraint requirements-dev.lock --output-file requirements-runtime.lock
	@rm -rf .lock-venv

# No index URL is written into the locks; each installation chooses where packages come from.
COMPILE = .lock-venv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url $(if $(UPGRADE),--upgrade)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or later is needed; \`$(PYTHON)\` is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.13 …"; \
		exit 1; }
	@echo "Setting up .venv, once …"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "\`$(PYTHON) -m venv\` does not work here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

.venv/runtime: .venv/bin/python requirements.lock
	@$(PIP) --requirement requirements.lock
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	@$(PIP) --requirement requirements-dev.lock
	@touch $@
