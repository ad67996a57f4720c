# `make` alone prints what there is. Everything works on a machine with make and Python 3.11 or later, nothing else.

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
# Whoever sets it would compile every file of ours again at each start of a program.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up down consumers status logs pending why dead replay discard conflicts resolve release audit demo test lint bench prove schema lock image

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

up: .venv/runtime ## set up what is missing, start everything, wait until it answers, print where (STACK=compose|embedded)
	@$(PY) -m stack up

down: .venv/runtime ## stop everything, keep the data
	@$(PY) -m stack down

consumers: .venv/runtime ## N=4: run that many workers, live, losing nothing
	@$(if $(N),,echo "How many? make consumers N=4"; exit 2;) $(PY) -m stack scale $(N)

status: .venv/runtime ## what runs, lag, pending, dead (JSON=1 for scripts)
	@$(PY) -m stack status $(AS_JSON)

logs: .venv/runtime ## follow what every program writes
	@$(PY) -m stack logs

pending: .venv/runtime ## the entries that wait, the oldest first, and why (JSON=1)
	@$(PY) -m operations pending $(AS_JSON)

why: .venv/runtime ## ID=<event or payment>: everything known about it, and the next step where it is stuck (JSON=1)
	@$(if $(ID),,echo "Of what? make why ID=evt_1: an event, a payment, a movement such as capture:pi_1"; exit 2;) $(PY) -m operations why "$(ID)" $(AS_JSON)

dead: .venv/runtime ## what could not be applied, and why (JSON=1)
	@$(PY) -m operations dead $(AS_JSON)

replay: .venv/runtime ## ID=… or ID=all: put dead letters back into the stream
	@$(if $(ID),,echo "Which? make replay ID=7, or ID=all; \`make dead\` shows them"; exit 2;) $(PY) -m operations replay $(ID)

discard: .venv/runtime ## ID=…: decide that a dead letter will never be applied
	@$(if $(ID),,echo "Which? make discard ID=7; \`make dead\` shows them"; exit 2;) $(PY) -m operations discard $(ID)

conflicts: .venv/runtime ## what contradicts and waits for a decision, and what is held back (JSON=1)
	@$(PY) -m operations conflicts $(AS_JSON)

resolve: .venv/runtime ## ID=… KEEP=booked|reported: decide about a conflict, or all conflicts of a payment
	@$(if $(and $(ID),$(KEEP)),,echo "Which, and what is right? make resolve ID=7 KEEP=booked, or KEEP=reported; \`make conflicts\` shows them"; exit 2;) $(PY) -m operations resolve $(ID) --keep $(KEEP) $(AS_JSON)

release: .venv/runtime ## SOURCE=…: book what was held back as unsigned, for a source whose trust is "all" now
	@$(if $(SOURCE),,echo "Which source? make release SOURCE=paypal; \`make conflicts\` shows what is held back"; exit 2;) $(PY) -m operations release $(SOURCE) $(AS_JSON)

audit: .venv/runtime ## run the invariants on the live database; exit 1 if one is broken (JSON=1)
	@$(PY) -m operations audit $(AS_JSON)

demo: .venv/runtime ## 4,000 signed deliveries of 160 events while workers are killed; what became of them (CONFLICT=1 JSON=1)
	@$(PY) -m stack demo $(AS_JSON) $(if $(CONFLICT),--conflict)

test: .venv/dev ## every test, against real Valkey and PostgreSQL (ARGS=… goes to pytest)
	@$(PY) -m pytest -n auto --dist worksteal $(ARGS)

lint: .venv/dev ## ruff, mypy --strict, and the walls between the rooms
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: .venv/dev ## the benchmarks: both sides of each comparison and the ratio, from one run (ARGS=…)
	@$(PY) -m tests.benchmarks $(ARGS)

prove: .venv/dev ## thousands of payments' histories, then the fault suite at length (SEED=1 MINUTES=10); exit 1 if a promise broke
	@$(PY) -m pytest tests/ledger --hypothesis-profile=prove --hypothesis-seed=$(SEED)
	@$(PY) -m tests.adversity.prove --seed $(SEED) --minutes $(MINUTES)

schema: .venv/dev ## write sql/schema.sql again, after a new migration
	@$(PY) -m tests.support.schema

image: ## build the container image, tagged with the version
	docker build --tag payment-webhooks --tag payment-webhooks:$(VERSION) --tag payment-webhooks:$(basename $(VERSION)) .

lock: ## pin every dependency again with its hashes (UPGRADE=1: to the newest versions)
	@rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv && .lock-venv/bin/python -m pip install --quiet uv
	@$(COMPILE) --extra embedded --extra dev --output-file requirements-dev.lock
	@$(COMPILE) --constraint requirements-dev.lock --extra embedded --output-file requirements.lock
	@$(COMPILE) --constraint requirements-dev.lock --output-file requirements-runtime.lock
	@rm -rf .lock-venv

# No index URL is written into the locks: where packages come from is the business of whoever installs them.
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
