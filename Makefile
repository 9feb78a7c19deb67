# Every target is one line of `make help`. Nothing has to be installed by hand but Python 3.11, Go and make.
SHELL := bash
# Compiled Python is kept: the engine starts several interpreters for each run.
unexport PYTHONDONTWRITEBYTECODE
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

STACK ?= prod
# not from the environment, where some shells keep the machine's name under it
HOST = lab/hosts/workstation.yaml
FAULTS ?=
PACE ?=
# more arguments for pytest, e.g. make test TESTS="tests/budget -k gpu"; for one file's coverage is no measure: make quick
TESTS ?= tests
LIBVIRT_TESTS ?= tests/libvirt
SERVICES_TESTS ?= tests/services
TEST_IMAGE := .lab/images/test.qcow2

VENV := .venv
PY := $(VENV)/bin/python
ENGINE := .lab/toolchain/bin
PLUGINS := .lab/toolchain/plugins
# The venv first: the engine starts the program with the python of PATH.
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/$(ENGINE):$(PATH)
export PULUMI_SKIP_UPDATE_CHECK := true

PYTHON_SOURCES := cluster components policies cloudctl lab toolchain handbook __main__.py
LAB_OPTIONS = --stack $(STACK) --host-file $(HOST) $(if $(FAULTS),--faults $(FAULTS)) $(if $(PACE),--pace $(PACE))
PYTEST = $(PY) -m pytest -n 2 --dist loadgroup $(TESTS)
# Without those that drive the engine: measuring every process that it starts would double their time and add few lines.
COVERED = $(PYTEST) -m "not engine and not slow and not daemon" --cov --cov-report=term:skip-covered --cov-fail-under=80
# pytest's exit status where TESTS names none of that kind
NONE = 5

.PHONY: help
help: ## this list
	@printf '\n  One workstation becomes an inference cloud. Try it without touching the machine:  make lab\n\n'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'
	@printf '\n  Variables (with what they are now):\n'
	@printf '    STACK=%-28s %s\n' '$(STACK)' 'which Pulumi.<stack>.yaml: dev, prod, or one of yours'
	@printf '    HOST=%-29s %s\n' '$(HOST)' 'host twin that the lab rehearses on'
	@printf '    FAULTS=%-27s %s\n' '$(FAULTS)' 'file of faults that the lab injects'
	@printf '    PACE=%-29s %s\n' '$(PACE)' 'seconds that the lab plays back for a real minute (0: no waiting)'
	@printf '    CLOUD_ENGINE=%-21s %s\n' '$(CLOUD_ENGINE)' 'path, installer or build: the only origin of the engine'
	@printf '    CLOUD_LIBVIRT_PLUGIN=%-13s %s\n\n' '$(CLOUD_LIBVIRT_PLUGIN)' 'path, official or build: likewise of the plugin'

# ---- getting ready ---------------------------------------------------------------------------------------------------

.PHONY: setup
setup: ## virtual environment with everything of requirements-dev.txt
	@toolchain/setup.sh

.PHONY: engine
engine: setup ## Pulumi engine: from PATH, from its installer, or built with Go (some minutes, once)
	@$(PY) -m toolchain ensure >/dev/null

.PHONY: plugin
plugin: engine ## libvirt plugin for real hosts: from PATH, Pulumi's own, or built with Go (two minutes, once)
	@$(PY) -m toolchain plugin >/dev/null

# ---- the rehearsal ---------------------------------------------------------------------------------------------------

.PHONY: lab lab-preview lab-down lab-status
lab: engine ## rehearse STACK on HOST: preview with policies, up, status; touches nothing outside .lab
	@$(PY) -m lab up $(LAB_OPTIONS)

lab-preview: engine ## only the preview of the rehearsal, policies included
	@$(PY) -m lab up --preview-only $(LAB_OPTIONS)

lab-down: engine ## destroy the rehearsed STACK and leave nothing
	@$(PY) -m lab down --stack $(STACK)

lab-status: engine ## what of the rehearsed STACK stands, and where it can be reached
	@$(PY) -m lab status --stack $(STACK)

.PHONY: local-stack local-stack-down services services-down
local-stack: setup ## the services in containers: writes a Compose file to .lab/local-stack, starts it where docker is
	@$(PY) -m lab.services compose up

local-stack-down: setup ## end these containers; their data stays in Docker's volumes
	@$(PY) -m lab.services compose down

services: setup ## the same services as plain processes on loopback: python -m lab.services --help
	@$(PY) -m lab.services up

services-down: setup ## end these processes and remove their data
	@$(PY) -m lab.services down

# ---- the real thing: the same program, the real plugins, your Pulumi backend and passphrase ------------------------------

.PHONY: preview up refresh destroy real
# Before the rest of PATH: an engine takes the first plugin there. Rehearsals have their stand-in, and not this folder.
preview up refresh destroy: export PATH := $(CURDIR)/$(PLUGINS):$(PATH)
real:
	@[ -z "$${LAB_DIR:-}" ] || { echo "error: LAB_DIR is $$LAB_DIR: this shell is set to a rehearsal, so nothing here" \
	  "would be real; open a new shell and try again" >&2; exit 1; }

preview: real plugin ## real host: what would change, with the policy pack
	@pulumi preview --stack $(STACK) --policy-pack policies

up: real plugin ## real host: take up what a failed run left, preview with the policy pack, ask, then change it
	@$(PY) -m cloudctl up --stack $(STACK)

refresh: real plugin ## real host: compare the state with what is there
	@pulumi refresh --stack $(STACK)

destroy: real plugin ## real host: say what data goes, ask, then take everything of STACK down
	@$(PY) -m cloudctl data --stack $(STACK)
	@pulumi destroy --stack $(STACK)

# ---- proofs ----------------------------------------------------------------------------------------------------------

.PHONY: test test-cloud-all test-libvirt test-kills test-services quick bench
test: lint types engine ## lint, types and every test that needs neither root nor a daemon; coverage at least 80 %
	@$(COVERED)
	@$(PYTEST) -m "engine and not slow and not daemon" || [ $$? = $(NONE) ]

test-cloud-all: lint types engine ## all tests: the slow ones too, and what needs root or a daemon; says what it skips
	@$(COVERED) -p toolchain.skips
	@$(PYTEST) -m "(engine or slow or daemon) and not exhaustive" -p toolchain.skips --durations 30 || [ $$? = $(NONE) ]
	@if $(PY) -m lab.hypervisor check; then $(MAKE) test-libvirt; \
	elif [ "$${CI:-}" = true ] && [ "$$(id -u)" = 0 ]; then \
	  echo "error: this is CI, as root: tests/libvirt has to run" >&2; exit 1; \
	else echo "tests/libvirt was not run"; fi

test-kills: engine ## the engine killed at every single step of an up and of a destroy, every case of the playbooks; an hour
	@$(PY) -m pytest -n 2 --dist loadgroup tests/engine tests/ansible tests/flip tests/monitoring tests/services -m exhaustive

# Inside, there is no network but its own: what must be fetched or built is made ready outside, first.
test-libvirt: engine plugin ## the program on a real libvirtd of its own, with VMs in emulation; needs root
	@rm -f $(TEST_IMAGE) && mkdir -p $(dir $(TEST_IMAGE)) && $(PY) -m lab.debian --built $(TEST_IMAGE)
	@CLOUD_TEST_IMAGE=$(CURDIR)/$(TEST_IMAGE) $(PY) -m lab.hypervisor exec --cards $(HOST) -- \
	  $(PY) -m pytest $(LIBVIRT_TESTS) -p toolchain.skips

quick: engine ## tests without lint, types and coverage; TESTS="tests/budget -k gpu" for some
	@$(PYTEST) -m "not slow and not daemon"

test-services: engine ## real PostgreSQL, MinIO, MLflow, model servers: a model's whole way, kills, backups; no cluster
	@$(PY) -m pytest $(SERVICES_TESTS) -m "not exhaustive" -p toolchain.skips

bench: engine ## speed as ratios, written to docs/performance.md
	@$(PY) -m lab.bench

.PHONY: lint lint-python lint-yaml lint-ansible lint-shell types format
lint: lint-python lint-yaml lint-ansible lint-shell docs ## every linter, and the pages built with warnings as errors

lint-python: setup
	@ruff check .
	@ruff format --check --quiet . || { echo 'error: not formatted; run: make format' >&2; exit 1; }

lint-yaml: setup
	@yamllint --strict .

lint-ansible: setup
	@cd ansible && ansible-lint -q -c ../.ansible-lint

lint-shell: setup
	@git grep --untracked -lIE '^#!.*(/|env )(ba|da)?sh' -- ':!*.j2' | xargs -r shellcheck

# Material says at each build that it ends in May 2027, which docs/decisions knows; nothing of the build asks the network.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs

.PHONY: docs docs-serve
# never with --quiet: MkDocs then does not see its own warnings, and --strict means nothing
docs: setup ## the documentation site into .lab/site, with warnings as errors
	@$(MKDOCS) build --strict --clean

docs-serve: setup ## the same at http://127.0.0.1:8000, anew whenever a page changes
	@$(MKDOCS) serve --dev-addr 127.0.0.1:8000

types: setup ## mypy, strict
	@mypy $(PYTHON_SOURCES) $(wildcard ansible/*.py packer/*.py)

format: setup ## format Python, and mend what ruff can mend
	@ruff format .
	@ruff check --fix .

.PHONY: clean
clean: ## remove what was made in this clone, rehearsals included; never .cloud, which knows of real GPUs
	rm -rf $(VENV) .lab .bench .coverage .coverage.* coverage.xml .hypothesis .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
