# `make` alone lists the targets. They need only make and Python 3.11 or later.
#
# make itself ends with 2 whenever a command fails; its last line has the command's own exit code (`Error 3`). Scripts
# that need the code call what the target calls, such as `.venv/bin/python -m operations audit`.

# Ids come from senders, so no variable of the user may become code. make expands `$(shell ...)` in a variable of the
# command line whenever it uses or exports it. Here each gets its literal value, and reaches a recipe only through the
# environment: a recipe writes "$$ID", in quotes and after `--`, never $(ID).
override literal = $(eval override $(1) := $$(value $(1)))$(eval export $(1))
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(call literal,$(name))))
MAKEOVERRIDES :=

override PY := .venv/bin/python
override INSTALL := $(PY) -I stack/install.py
# Runs a module of Python with further arguments from ARGS, in which quotes work as in a shell.
override WITH_ARGS := $(PY) -c 'import os, shlex, sys; \
	os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:], *shlex.split(os.environ.get("ARGS", ""))])'

.DEFAULT_GOAL := help
# If it were set, every start of a program would compile all of our files again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up down consumers status console logs events tail pending why dead replay discard conflicts resolve release confirm log audit partitions acknowledge retain reconcile accept erase check send psql upgrade-postgres pin demo test test-stack test-adversity test-browser test-observability test-pooler test-tls test-upgrade screenshots lint bench prove schema lock image

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

up: .venv/runtime ## set up and start everything, wait until it answers, print the address (STACK=compose|embedded)
	@$(PY) -m stack up

down: .venv/runtime ## stop everything, keep the data
	@$(PY) -m stack down

consumers: .venv/runtime ## N=4: change the number of workers while they run
	@test -n "$$N" || { echo "How many? make consumers N=4"; exit 2; }; $(PY) -m stack scale -- "$$N"

status: .venv/runtime ## processes, backlog, pending entries, dead letters (JSON=1 for scripts)
	@$(PY) -m stack status $${JSON:+--json}

console: .venv/runtime ## where the console is and how to sign in (SHOW=1: with the password that `make up` made)
	@$(PY) -m stack console $${SHOW:+--show}

logs: .venv/runtime ## follow the logs of all programs
	@$(PY) -m stack logs

events: .venv/runtime ## QUERY='source:stripe status:dead since:2h': search, newest first (LIMIT=… AFTER=… JSON=1)
	@$(PY) -m operations events $${LIMIT:+--limit="$$LIMIT"} $${AFTER:+--after="$$AFTER"} $${JSON:+--json} -- $${QUERY:+"$$QUERY"}

tail: .venv/runtime ## follow what is accepted, applied and dead-lettered (QUERY=… JSON=1)
	@$(PY) -m operations tail $${JSON:+--json} -- $${QUERY:+"$$QUERY"}

pending: .venv/runtime ## list the waiting entries, oldest first, with the reason (JSON=1)
	@$(PY) -m operations pending $${JSON:+--json}

why: .venv/runtime ## ID=<event or payment>: its history, and the next step if it is stuck (JSON=1)
	@test -n "$$ID" || { echo "Which one? make why ID=evt_1: an event, a payment, or a transfer key such as capture:pi_1"; exit 2; }; \
	$(PY) -m operations why $${JSON:+--json} -- "$$ID"

dead: .venv/runtime ## list the dead letters, with the reason; ID=…: that one in full (JSON=1)
	@$(PY) -m operations dead $${JSON:+--json} -- $${ID:+"$$ID"}

replay: .venv/runtime ## ID=… or ID=all: put dead letters back into the stream (or QUERY=… [YES=1]; REASON=… ACTOR=…)
	@test -n "$$ID$$QUERY" || { echo "Which? make replay ID=7, or ID=all; \`make dead\` lists them"; exit 2; }; \
	$(PY) -m operations replay $${REASON:+--reason="$$REASON"} $${QUERY:+--query="$$QUERY"} \
		$${YES:+--yes} $${JSON:+--json} -- $${ID:+"$$ID"}

discard: .venv/runtime ## ID=…: close a dead letter without applying it (or QUERY=… [YES=1]; REASON=… ACTOR=…)
	@test -n "$$ID$$QUERY" || { echo "Which? make discard ID=7; \`make dead\` lists them"; exit 2; }; \
	$(PY) -m operations discard $${REASON:+--reason="$$REASON"} $${QUERY:+--query="$$QUERY"} \
		$${YES:+--yes} $${JSON:+--json} -- $${ID:+"$$ID"}

conflicts: .venv/runtime ## list the conflicts that wait for a decision, and the facts on hold (JSON=1)
	@$(PY) -m operations conflicts $${JSON:+--json}

resolve: .venv/runtime ## ID=… KEEP=booked|reported: decide about a conflict, or all of a payment (REASON=… ACTOR=…)
	@test -n "$$ID" && test -n "$$KEEP" || { \
		echo "Which, and which amount is right? make resolve ID=7 KEEP=booked, or KEEP=reported; \`make conflicts\` lists them"; \
		exit 2; }; \
	$(PY) -m operations resolve --keep="$$KEEP" $${REASON:+--reason="$$REASON"} $${JSON:+--json} -- "$$ID"

release: .venv/runtime ## SOURCE=…: book what is on hold as unsigned, once trust = "all" (or QUERY=… [YES=1]; REASON=… ACTOR=…)
	@test -n "$$SOURCE$$QUERY" || { echo "Which source? make release SOURCE=paypal; \`make conflicts\` lists what is on hold"; exit 2; }; \
	$(PY) -m operations release $${REASON:+--reason="$$REASON"} $${QUERY:+--query="$$QUERY"} \
		$${YES:+--yes} $${JSON:+--json} -- $${SOURCE:+"$$SOURCE"}

confirm: .venv/runtime ## SOURCE=… [EVENT=…]: count what its API did not confirm; YES=1: ask again (REASON=… ACTOR=… JSON=1)
	@test -n "$$SOURCE" || { echo "Which source? make confirm SOURCE=paypal; \`make conflicts\` lists what is on hold"; exit 2; }; \
	$(PY) -m operations confirm $${EVENT:+--event="$$EVENT"} $${REASON:+--reason="$$REASON"} \
		$${YES:+--yes} $${JSON:+--json} -- "$$SOURCE"

log: .venv/runtime ## who did what and why, the newest first (BEFORE=<number> LIMIT=… JSON=1)
	@$(PY) -m operations log $${BEFORE:+--before="$$BEFORE"} $${LIMIT:+--limit="$$LIMIT"} $${JSON:+--json}

audit: .venv/runtime ## check the invariants on the live system; exit 1 if one is broken (JSON=1)
	@$(PY) -m operations audit $${JSON:+--json}

partitions: .venv/runtime ## N=8: change the number of streams among which events are shared, live (REASON=… ACTOR=…)
	@test -n "$$N" || { echo "How many? make partitions N=8"; exit 2; }; \
	$(PY) -m stack partitions $${REASON:+--reason="$$REASON"} -- "$$N"

acknowledge: .venv/runtime ## REASON=…: what the audit misses is understood; it shows later losses only (ACTOR=…)
	@test -n "$$REASON" || { echo "Why? make acknowledge REASON='sent again by Stripe'; \`make audit\` shows what is missing"; exit 2; }; \
	$(PY) -m operations acknowledge --reason="$$REASON" $${JSON:+--json}

reconcile: .venv/runtime ## SOURCE=stripe SINCE=24h: compare with the provider's list; REPAIR=1 adds what is missing (UNTIL=… OVER_GAPS=1 FROM_NOTHING=1 LIMIT=… REASON=… ACTOR=… JSON=1)
	@test -n "$$SOURCE" || { echo "Which source? make reconcile SOURCE=stripe SINCE=24h; sources.toml lists them"; exit 2; }; \
	test "$${REPAIR:-1}" = 1 || { echo "REPAIR=1 adds what is missing; leave it out to have a report only"; exit 2; }; \
	$(PY) -m operations reconcile $${SINCE:+--since="$$SINCE"} $${UNTIL:+--until="$$UNTIL"} $${REPAIR:+--repair} \
		$${OVER_GAPS:+--over-gaps} $${FROM_NOTHING:+--from-nothing} $${LIMIT:+--limit="$$LIMIT"} \
		$${REASON:+--reason="$$REASON"} $${JSON:+--json} -- "$$SOURCE"

accept: .venv/runtime ## SOURCE=… EVENT=… (or ALL=1) REASON=…: what a comparison found stays as it is, and is not found again (ACTOR=… JSON=1)
	@test -n "$$SOURCE" && test -n "$$EVENT$$ALL" && test -n "$$REASON" || { \
		echo "Which, and why? make accept SOURCE=stripe EVENT=evt_1 REASON='a test of ours'; \`make reconcile\` lists what differs"; \
		exit 2; }; \
	$(PY) -m operations accept --reason="$$REASON" $${ALL:+--all} $${JSON:+--json} -- "$$SOURCE" $${EVENT:+"$$EVENT"}

retain: .venv/runtime ## remove what is older than the *_KEPT_DAYS settings allow; workers do it daily (JSON=1 REASON=… ACTOR=…)
	@$(PY) -m operations retain $${REASON:+--reason="$$REASON"} $${JSON:+--json}

erase: .venv/runtime ## PAYMENT=… or EVENT=…: count its personal data; YES=1: erase it, keep the books (REASON=… ACTOR=… JSON=1)
	@test -n "$$PAYMENT$$EVENT" && test -n "$$REASON" || { \
		echo "Which, and why? make erase PAYMENT=pi_1 REASON='asked by the payer, ticket 42'; without YES=1 it only counts"; \
		exit 2; }; \
	$(PY) -m operations erase $${PAYMENT:+--payment="$$PAYMENT"} $${EVENT:+--event="$$EVENT"} --reason="$$REASON" \
		$${YES:+--yes} $${JSON:+--json}

check: .venv/runtime ## check all settings, start nothing; SOURCE=… FILE=…: why a recorded request does not verify
	@if test -n "$$SOURCE"; then $(PY) -m gateway check --file="$${FILE:--}" -- "$$SOURCE"; \
	else $(PY) -m stack check; fi

send: .venv/runtime ## SOURCE=…: send one signed sample event to the running gateway (TYPE=…)
	@test -n "$$SOURCE" || { echo "To which source? make send SOURCE=stripe; sources.toml lists them"; exit 2; }; \
	$(PY) -m stack send $${TYPE:+--type="$$TYPE"} -- "$$SOURCE"

psql: .venv/runtime ## open psql on the database
	@$(PY) -m stack psql

upgrade-postgres: .venv/runtime ## OLD=<folder of the older programs>: move the embedded PostgreSQL's data to the present version
	@test -n "$$OLD" || { echo "Where are the older programs? make upgrade-postgres OLD=/usr/lib/postgresql/17/bin"; exit 2; }; \
	$(PY) -m stack upgrade-postgres --old="$$OLD"

pin: .venv/runtime ## write the digests of the images that Docker Compose starts to .env (again: newer ones)
	@$(PY) -m stack pin

demo: .venv/runtime ## send 4,000 signed deliveries of 160 events, kill workers meanwhile, check the result (CONFLICT=1 GAPS=1 JSON=1)
	@$(PY) -m stack demo $${JSON:+--json} $${CONFLICT:+--conflict} $${GAPS:+--gaps}

test: .venv/dev ## the tests of every room, against real Valkey and PostgreSQL (ARGS=… for pytest)
	@$(WITH_ARGS) pytest -n auto --dist worksteal

test-stack: .venv/dev ## whole stacks: `make up` again and again, what it replaces, its console, its demonstrations (ARGS=… for pytest)
	@$(WITH_ARGS) pytest -n auto --dist worksteal tests/whole_stack

test-adversity: .venv/dev ## processes and servers that are killed, frozen, cut off and replaced under load (ARGS=… for pytest)
	@$(WITH_ARGS) pytest -n auto --dist worksteal tests/adversity

test-browser: .venv/dev ## the console in a real Chromium (CHROMIUM=…, else /usr/bin/chromium; ARGS=… for pytest)
	@$(WITH_ARGS) pytest tests/browser

test-observability: .venv/dev ## alert rules and dashboard against a real Prometheus (Debian's package prometheus; ARGS=… for pytest)
	@$(WITH_ARGS) pytest tests/observability

test-pooler: .venv/dev ## workers behind a real PgBouncer (Debian's package pgbouncer; ARGS=… for pytest)
	@$(WITH_ARGS) pytest tests/pooler

test-tls: .venv/dev ## both servers with TLS (Debian's packages postgresql and redis-server; ARGS=… for pytest)
	@$(WITH_ARGS) pytest tests/tls

test-upgrade: .venv/dev ## moving the data of an older PostgreSQL (Debian's package postgresql; ARGS=… for pytest)
	@$(WITH_ARGS) pytest tests/older_postgres

screenshots: .venv/dev ## FOLDER=…: pictures of the console's pages, as docs/console.md shows them
	@test -n "$$FOLDER" || { echo "Where to? make screenshots FOLDER=build/screenshots"; exit 2; }; \
	SCREENSHOTS_FOLDER="$$(realpath -m -- "$$FOLDER")" $(PY) -m pytest tests/browser/screenshots.py

lint: .venv/dev ## ruff, mypy --strict, and the import rules between the rooms
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: .venv/dev ## the benchmarks: both sides of each comparison and their ratio (ARGS=…)
	@$(WITH_ARGS) tests.benchmarks

prove: .venv/dev ## random histories, then long fault tests (SEED=1 MINUTES=10 REDIS=cluster POSTGRES=pooler PARTITIONS=8 UPGRADE=1); exit 1 if a guarantee broke
	@$(PY) -m pytest tests/ledger --hypothesis-profile=prove --hypothesis-seed="$${SEED:-1}"
	@$(PY) -m tests.adversity.prove --seed="$${SEED:-1}" --minutes="$${MINUTES:-10}" \
		$${REDIS:+--redis="$$REDIS"} $${POSTGRES:+--postgres="$$POSTGRES"} \
		$${PARTITIONS:+--partitions="$$PARTITIONS"} $${UPGRADE:+--upgrade}

schema: .venv/dev ## generate sql/schema.sql after a new migration
	@$(PY) -m tests.support.schema

image: ## build the container image, tagged with the version
	@version=$$(sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml) && set -x && \
	docker build --tag payment-webhooks --tag "payment-webhooks:$$version" --tag "payment-webhooks:$${version%.*}" .

lock: ## pin all dependencies with hashes (UPGRADE=1: the newest versions)
	@rm -rf .lock-venv && "$${PYTHON:-python3}" -m venv .lock-venv && .lock-venv/bin/python -m pip install --quiet uv
	@$(COMPILE) --extra embedded --extra tracing --extra dev --output-file requirements-dev.lock
	@$(COMPILE) --constraint requirements-dev.lock --extra embedded --extra tracing --output-file requirements.lock
	@$(COMPILE) --constraint requirements-dev.lock --extra tracing --output-file requirements-runtime.lock
	@rm -rf .lock-venv

# No index URL is written into the locks; each installation chooses where packages come from.
override COMPILE := .lock-venv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-index-url $${UPGRADE:+--upgrade}

.venv/bin/python:
	@python="$${PYTHON:-python3}"; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or later is needed; $$python is $$("$$python" --version 2>&1). Name another: make PYTHON=python3.13 …"; \
		exit 1; }; \
	echo "Setting up .venv, once …"; \
	"$$python" -m venv .venv || { rm -rf .venv; \
		echo "\`$$python -m venv\` does not work here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

.venv/runtime: .venv/bin/python requirements.lock
	@echo "Installing the packages that the programs need …"
	@$(INSTALL) requirements.lock
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	@echo "Installing the packages of developers …"
	@$(INSTALL) requirements-dev.lock
	@touch $@
