# Two commands matter: `make demo` and `make test`. Both set up what they need. `make install` is for a real server.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
HOSTS ?= 3
N ?= 10000
FIRST ?= 0
EXTRAS ?=
PREFIX ?= /opt/hostward
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' kit/version.py)

.PHONY: demo test fleet lint bench logrotate-differences install install-collector uninstall lock clean

demo: $(VENV)/run.stamp
	@exec $(BIN)/python -m demo $(ARGS)

test: $(VENV)/dev.stamp lint
	@$(BIN)/python -m tests.prepare
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml agent collector kit wire demo
	$(BIN)/python requirements/audit.py

fleet: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.prepare
	@exec $(BIN)/python -m tests.fleet --hosts $(HOSTS)

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks $(ARGS)

logrotate-differences: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.prepare
	@exec nice $(BIN)/python -m tests.agent.logs.rotate.differential --first $(FIRST) --cases $(N)

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
	for extra in $(DRIVERS); do \
		$(BIN)/python -c 'import sys, tomllib; \
			project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
			print(*project["optional-dependencies"][sys.argv[1]], sep="\n")' $$extra | \
		$(BIN)/uv pip compile - $(LOCK_OPTIONS) -c requirements/dev.txt -o requirements/extras/$$extra.txt || exit; \
	done
DRIVERS := dns fuse mysql postgresql redis s3 sftp
LOCK_OPTIONS := --quiet --no-header --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links

$(VENV)/bin/python:
	@./requirements/venv.sh $(PYTHON) $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/run.stamp

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
