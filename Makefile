# Two commands matter: `make demo` and `make test`. Both set up what they need. `make install` is for a real server.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
HOSTS ?= 3
N ?= 10000
FIRST ?= 0
TICKS ?= 1000000
EXTRAS ?=
PREFIX ?= /opt/hostward
LINTS := lint-style lint-types lint-layers lint-security lint-locks
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' kit/version.py)

.PHONY: demo test prepared compiled fleet soak lint $(LINTS) bench logrotate-differences
.PHONY: admin install install-collector uninstall lock clean

demo: $(VENV)/run.stamp
	@exec $(BIN)/python -m demo $(ARGS)

# What waits for a network or for a disk goes on beside what computes. What failed beside the others runs once more,
# alone, and is told as such: real servers on a machine of unknown speed have moments that say nothing of the product.
test:
	@$(MAKE) --no-print-directory --jobs --output-sync=target lint prepared compiled
	@$(BIN)/python -m pytest $(ARGS) || { test $$? -eq 1 && \
		echo "make test: what failed runs once more, alone:" && \
		$(BIN)/python -m pytest $(ARGS) -n 0 --exitfirst --last-failed --last-failed-no-failures none -v; }

prepared: | $(VENV)/bin/python
	@$(BIN)/python -m tests.prepare

# Once, and not by each worker of pytest and each program that a test starts, also where the environment forbids
# Python to keep what it compiled.
compiled: $(VENV)/dev.stamp
	@$(BIN)/python -m compileall -q agent backup benchmarks collector demo deploys kit rollout tests wire
	@env --unset=PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 0 --collect-only --quiet --quiet >/dev/null || true

lint: $(LINTS)

$(LINTS): $(VENV)/dev.stamp

lint-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types:
	$(BIN)/mypy

lint-layers:
	$(BIN)/lint-imports

lint-security:
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml agent backup collector deploys inventory kit rollout wire demo

lint-locks:
	$(BIN)/python requirements/audit.py

fleet: $(VENV)/dev.stamp prepared
	@exec $(BIN)/python -m tests.fleet --hosts $(HOSTS)

soak: $(VENV)/dev.stamp
	SOAK_TICKS=$(TICKS) $(BIN)/python -m pytest -n 0 tests/faults/test_soak.py

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks $(ARGS)

logrotate-differences: $(VENV)/dev.stamp prepared
	@exec nice $(BIN)/python -m tests.agent.logs.rotate.differential --first $(FIRST) --cases $(N)

# On the administrator's machine: pyinfra and hostward-rollout in .venv/bin. docs/deploys.md goes on from there.
admin: $(VENV)/admin.stamp
	@echo "next: $(BIN)/hostward-rollout --help, or docs/deploys.md"

# As root, on a server: the agent alone, or the agent and the collector. docs/agent.md says what goes where.
# EXTRAS="postgresql redis" adds the drivers of checks.
install:
	@./systemd/install.sh $(PYTHON) $(PREFIX) $(VERSION) agent $(EXTRAS)

install-collector:
	@./systemd/install.sh $(PYTHON) $(PREFIX) $(VERSION) collector $(EXTRAS)

uninstall:
	@./systemd/uninstall.sh $(PREFIX)

# The locks are written by hand when a dependency changes; installing never resolves.
lock: $(VENV)/dev.stamp
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev $(LOCK_OPTIONS) -o requirements/dev.txt
	$(BIN)/uv pip compile pyproject.toml --extra collector --group build $(LOCK_OPTIONS) -c requirements/dev.txt -o requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --group build $(LOCK_OPTIONS) -c requirements/dev.txt -o requirements/agent.txt
	$(BIN)/uv pip compile pyproject.toml --extra deploys --group build $(LOCK_OPTIONS) -c requirements/dev.txt -o requirements/admin.txt
	echo pip | $(BIN)/uv pip compile - $(LOCK_OPTIONS) -c requirements/dev.txt -o requirements/pip.txt
	for extra in $(DRIVERS); do \
		$(BIN)/python -c 'import sys, tomllib; \
			project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
			print(*project["optional-dependencies"][sys.argv[1]], sep="\n")' $$extra | \
		$(BIN)/uv pip compile - $(LOCK_OPTIONS) -c requirements/dev.txt -o requirements/extras/$$extra.txt || exit; \
	done
DRIVERS := dns fuse mysql pdf postgresql redis s3 sftp
LOCK_OPTIONS := --quiet --no-header --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links

$(VENV)/bin/python:
	@./requirements/venv.sh $(PYTHON) $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/admin.stamp: requirements/admin.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/admin.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/run.stamp $(VENV)/admin.stamp

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
