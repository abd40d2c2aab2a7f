PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/ready
REAL ?= ../shared/data/online_retail_by_day
BACKEND ?= lmdb
DATA ?= data/demo-simulate
export DAGSTER_DISABLE_TELEMETRY := yes

.DEFAULT_GOAL := help
.PHONY: help redis-server postgresql test-services demo demo-real test test-fast coverage lint fmt types dev serve bench clean lock sbom serve-alone bench-feast drill-kill drill-intake drill-replay drill-habits drill-mutations drill-tuning drill-upgrade drill-variants bench-commits

help:  ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

# Every target installs what it needs: the locked versions, then this project on top without asking the registry again.
$(READY): requirements.lock requirements-dev.lock pyproject.toml setup.cfg
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] >= (3, 11) else "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## simulate a shop, run the whole line, serve and score one order
	$(BIN)/returnml demo

demo-real: $(READY)  ## the same on the Online Retail files (REAL=folder)
	$(BIN)/returnml demo --source online-retail --path $(REAL)

redis-server:  ## the server that the tests of the Redis backend start: install it where that is allowed
	@command -v redis-server > /dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server; \
	  else echo "redis-server is missing (Debian: apt-get install redis-server)" >&2; exit 1; fi; }

postgresql:  ## the server that the tests of database imports start: install it where that is allowed
	@command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; \
	  then apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; \
	  else echo "postgresql is missing (Debian: apt-get install postgresql)" >&2; exit 1; fi; }

test-services: $(READY) redis-server postgresql  ## the tests that need a server of their own: Redis, PostgreSQL
	$(BIN)/pytest -q returnml_tests/store/redis returnml_tests/sources/mapped/test_database.py

test: $(READY)  ## all tests, a process for each core; those of the Redis backend start a redis-server
	$(BIN)/python -m pytest -q -n auto --dist loadfile

test-fast: $(READY)  ## the tests that take seconds, without real processes and whole lines
	$(BIN)/python -m pytest -q -m "not slow" -n auto --dist loadfile

coverage: $(READY)  ## all tests, with the lines that none of them runs
	$(BIN)/python -m pytest -q -n auto --dist loadfile --cov=returnml --cov=serving --cov-report=term:skip-covered

lint: $(READY)  ## ruff, import contracts and types, changing nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

fmt: $(READY)  ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY)  ## mypy
	$(BIN)/mypy

dev: $(READY)  ## Dagster's UI and daemon on the local data root
	$(BIN)/returnml dev

serve: $(READY)  ## the scoring service
	$(BIN)/returnml serve

bench: $(READY)  ## the benchmarks, with what they print
	for name in $$(grep -l __main__ benchmarks/*.py | xargs -n1 basename -s .py); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done

bench-feast: $(READY)  ## online features beside Feast's SQLite and Redis stores (installs Feast into .venv-feast)
	$(BIN)/python -m benchmarks.online_features

bench-commits: $(READY)  ## online features, point-in-time, batch scoring, intake: an older commit and this code in turn (OLD=commit)
	$(BIN)/python -m benchmarks.two_commits $(if $(OLD),--old $(OLD))

drill-kill: $(READY)  ## kill -9 at 50 random moments of a daily run (slow)
	$(BIN)/python -m returnml_tests.drills.kill_daily_run

drill-intake: $(READY)  ## kill -9 workers, the whole service or Redis at 50 random moments of event intake (slow)
	$(BIN)/python -m returnml_tests.drills.kill_intake
	$(BIN)/python -m returnml_tests.drills.kill_intake --redis

drill-replay: $(READY)  ## three months of Online Retail over HTTP, every vector held against batch (BACKEND=lmdb|redis; slow)
	$(BIN)/python -m returnml_tests.drills.replay_online_retail --source $(REAL) --backend $(BACKEND)

drill-tuning: $(READY)  ## kill -9 a tuning at 20 random moments; it must end with the same trials
	$(BIN)/python -m returnml_tests.drills.kill_tuning

drill-variants: $(READY)  ## 20 training runs with a process for each variant: no lock and no race (slow)
	$(BIN)/python -m returnml_tests.drills.parallel_variants

drill-mutations: $(READY)  ## does a change of the code behind feature values show in a hash or a golden vector? (slow)
	$(BIN)/python -m returnml_tests.drills.mutations

drill-upgrade: $(READY)  ## a root made by an older commit is upgraded, killed on the way; every score of unchanged features is equal (slow)
	$(BIN)/python -m returnml_tests.drills.upgrade

drill-habits: $(READY)  ## do reasons name what the simulator planted? (DATA=a data root that the demo filled)
	$(BIN)/python -m returnml_tests.drills.habits --data $(DATA)

COMPILE := $(BIN)/uv pip compile --quiet --universal --no-emit-index-url --no-annotate --no-strip-extras --generate-hashes --custom-compile-command 'make lock' pyproject.toml

lock: $(READY)  ## resolve the dependencies anew and pin them, with the hashes of their files
	$(COMPILE) --extra line --extra serve -o requirements.lock
	$(COMPILE) --extra serve -c requirements.lock -o requirements-serve.lock
	$(COMPILE) --extra line --extra serve --extra dev -c requirements.lock -o requirements-dev.lock

sbom: $(READY)  ## write what is installed to serve and to run the line as CycloneDX, build/sbom.json
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o build/sbom.json
	@echo "build/sbom.json: $$(grep -c '"purl"' build/sbom.json) components"

serve-alone: $(READY)  ## install the extra serve alone, serve a release with it, print its size and imports (DATA=a root that the demo filled)
	$(BIN)/python -m returnml_tests.drills.serve_alone --data $(DATA)

clean:  ## remove the environment and caches; data/ stays
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
