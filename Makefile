# The only entry point: people and .ci/run call the same targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready ## make the environment in .venv

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

run: setup ## send samples/prompts.jsonl through the emulator and show what comes back
	rm -rf run-output && mkdir run-output
	$(BIN)/yagpt-batch run samples/prompts.jsonl -o run-output/results.jsonl --emulator
	@echo && echo "The first answers, in run-output/results.jsonl:"
	@head -n 3 run-output/results.jsonl
	@echo && echo "The totals, its last line:"
	@tail -n 1 run-output/results.jsonl | $(BIN)/python -m json.tool --no-ensure-ascii

format: setup ## rewrite the code in the house format
	$(BIN)/ruff check --fix --quiet pipeline tests benchmarks
	$(BIN)/ruff format --quiet pipeline tests benchmarks

lint: setup ## style, and the contracts on who may import whom
	$(BIN)/ruff check pipeline tests benchmarks
	$(BIN)/ruff format --check --quiet pipeline tests benchmarks
	$(BIN)/lint-imports

type: setup ## mypy, strict, on package, tests and benchmarks
	$(BIN)/mypy

# Some tests wait more than they work.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 2)
test: setup ## the tests, on all cores
	$(BIN)/pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal

check: lint type test ## what a merge needs

SEEDS ?= 500
nights: setup ## SEEDS=500 nights under virtual time, with faults, kills and power cuts
	$(BIN)/python -m tests.proof.nights --seeds $(SEEDS)

TRIALS ?= 200
kills: setup ## TRIALS=200 runs of real processes that are killed, some at a chosen system call
	$(BIN)/python -m tests.proof.kills --trials $(TRIALS)

disks: setup ## disks that fail, fill up or can't be written, at every call
	$(BIN)/python -m tests.proof.disks

BUDGETS ?= 200
budgets: setup ## BUDGETS=200 nights with a budget that is raised each time it is reached
	$(BIN)/python -m tests.proof.budgets --seeds $(BUDGETS)

LIFE ?= 20
tokens: setup ## runs of 90 seconds with tokens that live for LIFE=20
	$(BIN)/python -m tests.proof.tokens --life $(LIFE)

captures: setup ## what runs look like in tests/captures, written anew; look at what changed
	CAPTURES=write $(BIN)/pytest --quiet tests/e2e/test_captures.py

mutants: setup ## deliberate bugs, each of which the tests must catch
	$(BIN)/python -m tests.proof.mutants

evidence: setup ## all of these at length, about an hour; writes the table in README.md
	$(BIN)/python -m tests.proof.evidence

bench-pace: setup ## quota used, rejections, polls, delays and ETAs beside the optimum; about an hour
	$(BIN)/python -m benchmarks.pace
	$(BIN)/python -m benchmarks.polling
	$(BIN)/python -m benchmarks.eta

bench-cost: setup ## memory and time of `cost` on a million rows, beside decoding them
	$(BIN)/python -m benchmarks.cost

bench: setup ## what a row costs, with quotas lifted, beside the barest client; half an hour
	$(BIN)/python -m benchmarks.speed

bench-start: setup ## how long commands take to begin, beside Python's own start; a minute
	$(BIN)/python -m benchmarks.start

bench-scale: setup ## starts, looks and memory with ten thousand to a million rows done; some minutes
	$(BIN)/python -m benchmarks.scale

bench-estimate: setup ## how often estimates hold the bill, and how narrow they are; about a minute
	$(BIN)/python -m benchmarks.estimate

bench-peers: setup ## CPU, memory and speed beside six other tools, which it installs; about half an hour
	$(BIN)/python -m benchmarks.peers

man: setup ## write docs/yagpt-batch.1, the manual page, anew from the program's own help
	$(BIN)/python -m pipeline.cli.manual > docs/yagpt-batch.1

lock: ## renew requirements.lock from pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --no-header --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --group dev --extra fast --upgrade pyproject.toml --output-file requirements.lock

clean: ## remove what the other targets made
	rm -rf $(VENV) .bench-peers run-output evidence.json build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help setup run format lint type test check nights kills disks budgets tokens captures mutants evidence bench bench-pace bench-cost bench-start bench-scale bench-peers bench-estimate man lock clean
