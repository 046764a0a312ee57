# The one list of recipes; CI runs the same. `make` alone prints it.
#
# What a recipe needs is set up first, and remembered: a second run starts at once.
# PYTHON=python3.13 chooses the interpreter of a new environment.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

export PATH := $(CURDIR)/.venv/bin:$(PATH)

TOOLS := .stamps/tools
VENV := .venv/.stamp-venv
INSTALLED := .venv/.stamp-installed
LINKED := .venv/.stamp-linked
NODE_MODULES := node_modules/.stamp-installed
BUILT := js/lib/.stamp-built

LABEXTENSION := .venv/share/jupyter/labextensions/zlab
# a file stays with one process, which sets its fixtures up once; tests/conftest.py orders the files
PYTEST := pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder
JS_SOURCES := $(shell find js -type f -not -path 'js/lib/*')

# run one after the other, all of them, whichever fails: see .ci/stages.py
CHECKS := check-lint check-format check-types check-imports check-js check-tree
TESTS := docs test-js test-examples test-python test-livebooks test-browser

.PHONY: help
help:
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: lab
lab: setup ## open JupyterLab on the demo stores (LAB_ARGS=--no-browser passes through)
	python -m zlab demo demo
	jupyter lab --ServerApp.root_dir="$(CURDIR)" \
	  $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS) livebooks/00_01_welcome.ipynb

.PHONY: test
test: setup ## every check and every test
	python .ci/stages.py $(CHECKS) $(TESTS)

.PHONY: test-long
test-long: setup ## the Python tests with many more examples, and those too long for `make test`
	HYPOTHESIS_PROFILE=long $(PYTEST) --timeout=3600 tests

.PHONY: check
check: setup ## linters and types
	python .ci/stages.py $(CHECKS)

.PHONY: bench
bench: setup ## measure against the newest peers (BENCH_ARGS=--help passes through)
	python=$$(benchmarks/environment) && "$$python" -m benchmarks $(BENCH_ARGS)

.PHONY: test-cloud
test-cloud: setup ## all tests of clouds, also the long ones, on emulators
	$(PYTEST) --timeout=3600 -m "long or not long" tests/cloud

.PHONY: docs-cloud
docs-cloud: setup ## the tables of the clouds' tests, in docs/cloud-tested.md
	$(PYTEST) --timeout=3600 --junitxml=.stamps/cloud.xml -m "not long" tests/cloud
	python tests/cloud/tables.py .stamps/cloud.xml > docs/cloud-tested.md

.PHONY: docs
docs: setup ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "docs: site/index.html"

.PHONY: fmt
fmt: setup ## format and fix what can be fixed
	ruff check --fix-only --quiet
	ruff format
	npm run --silent fmt

.PHONY: clean
clean: ## remove what was built; the set-up (.venv, node_modules) and demo/ stay
	rm -rf build dist site js/lib zlab/labextension zlab/static test-results playwright-report \
	  .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis .benchmarks .coverage

# the stages of `check` and `test`

.PHONY: $(CHECKS) $(filter-out docs,$(TESTS))
check-lint: setup
	ruff check
check-format: setup
	ruff format --check
check-types: setup
	mypy
# its cache misses that a module which is new resolves an import that is old
check-imports: setup
	lint-imports --no-logo --no-cache
check-js: setup
	npm run --silent check
check-tree: setup
	python .ci/check_tree.py

test-js: setup
	npm run --silent test
test-python: setup
	$(PYTEST) -m 'not long' tests
test-examples: setup
	# PyTorch is not installed here; where it is, tests/torch_ runs the examples too
	pytest --doctest-modules --ignore=zlab/torch zlab
test-livebooks: setup
	$(PYTEST) --nbval --nbval-current-env --nbval-sanitize-with=tests/nbval_sanitize.cfg \
	  --nbval-cell-timeout=300 livebooks
test-browser: setup
	.ci/test_browser

# set-up: each stamp lies in what it stands for, and goes with it

.PHONY: setup
setup: $(INSTALLED) $(NODE_MODULES) $(BUILT) $(LINKED) browser

$(TOOLS): .ci/tools
	mkdir -p $(@D)
	.ci/tools > $@

$(VENV): $(TOOLS)
	"$$(cat $<)" -m venv .venv
	touch $@

# The editable install packs the labextension as a copy. Where a link stands in its place, pip
# would write through it into the sources: it goes first, and comes back below.
$(INSTALLED): pyproject.toml package.json $(VENV)
	rm -rf $(LABEXTENSION)
	mkdir -p zlab/labextension zlab/static
	@echo "Installing zlab with all its extras into .venv: a minute or two, once"
	SKIP_JUPYTER_BUILDER=1 pip install --quiet --editable '.[all,dev]'
	touch $@

$(NODE_MODULES): package.json package-lock.json .npmrc $(TOOLS)
	npm ci --no-fund --no-audit
	touch $@

# its build tool comes with the Python side
$(BUILT): $(JS_SOURCES) $(NODE_MODULES) | $(INSTALLED)
	npm run --silent build:prod
	touch $@

# what is built is what the lab shows
$(LINKED): $(INSTALLED)
	rm -rf $(LABEXTENSION)
	mkdir -p $(dir $(LABEXTENSION))
	ln -s "$(CURDIR)/zlab/labextension" $(LABEXTENSION)
	touch $@

.PHONY: browser
browser:
	@.ci/browser
