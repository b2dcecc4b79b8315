# `make demo` and `make test` need Python 3.11 or newer, make and a network; each does all of its own set-up.

PYTHON ?= python3
VENV := .venv
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
BIN := $(VENV)/bin
UV := VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(VENV)/tools/bin/uv
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
# Of images: what jobs need, without tests and tools. The one for CPUs leaves torch out, which comes from torch's own index.
RUNTIME := $(COMPILE) pyproject.toml --no-annotate --extra av --extra text --constraint requirements.lock

# Bytecode is kept even where the environment asks for none: without it each of the many processes of a run compiles torch
# and Ray again, which is half of its time before it works. `make clean` removes it.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-fast lint bench-adapt bench-levers bench-bank bench-company bench-quality bench-nights bench-anchor bench-real-speech bench-people bench-digits bench-robust bench-unlabelled bench-decode bench-transcribe bench-words \
	bench-scale bench-gpu bench-sweep chaos \
	bench-plan bench-finished bench-night bench-train bench-scale-train bench-epoch browser fix lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## train a base and eight users' adapters on synthetic speech (DEMO_ARGS="key=value …")
	@$(BIN)/python jobs/demo.py $(DEMO_ARGS)

# Two processes, each with a Ray and an S3 server of its own; they take a file of tests after another, dear ones first
# (tests/support/sharing.py), so that neither waits for the other in the end.
test: $(VENV)/installed ## run the tests (PYTEST_ARGS="tests/test_text.py -k jamo")
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-fast: $(VENV)/installed ## run the tests that start no Ray, no server and no other process (2 minutes)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not ray and not s3 and not process" $(PYTEST_ARGS)

lint: $(VENV)/installed ## check style (ruff) and types (mypy)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy ds2ray jobs examples tests benchmarks

# Each prints one JSON line: BENCH_ARGS="--save" keeps it in benchmarks/results/, BENCH_ARGS="--help" tells its sizes.
bench-adapt: $(VENV)/installed ## many users: a trial each, the plain loop, cohorts (20 minutes)
	@$(BIN)/python -m benchmarks.adapting.adapt $(BENCH_ARGS)

bench-levers: $(VENV)/installed ## a cohort with single settings changed: time by stage, and errors (10 minutes)
	@$(BIN)/python -m benchmarks.adapting.levers $(BENCH_ARGS)

bench-bank: $(VENV)/installed ## the stacked step: which product, update and stack size is fastest here (2 minutes)
	@$(BIN)/python -m benchmarks.adapting.bank $(BENCH_ARGS)

bench-company: $(VENV)/installed ## the price of adapters that have the same bytes in any company (3 minutes)
	@$(BIN)/python -m benchmarks.adapting.company $(BENCH_ARGS)

bench-quality: $(VENV)/installed ## adapters against full fine-tuning of a copy per user (25 minutes)
	@$(BIN)/python -m benchmarks.gains.quality $(BENCH_ARGS)

bench-nights: $(VENV)/installed ## a user's first night, and one with a tenth more speech: CPU time and WER by recipe (20 minutes)
	@$(BIN)/python -m benchmarks.adapting.nights $(BENCH_ARGS)

bench-anchor: $(VENV)/installed ## what adapters forget of ordinary speech, with an anchor and without (10 minutes)
	@$(BIN)/python -m benchmarks.adapting.anchor $(BENCH_ARGS)

bench-real-speech: $(VENV)/installed ## a real speaker at 8 kHz: the base, all weights tuned, an adapter (10 minutes)
	@$(BIN)/python -m benchmarks.gains.real_speech $(BENCH_ARGS)

bench-people: $(VENV)/installed ## real people: a base on some, adapters for others whom it never heard (30 minutes)
	@$(BIN)/python -m benchmarks.real_people.people $(BENCH_ARGS)

bench-digits: $(VENV)/installed ## real people saying digits: one is left out and adapts to more and more speech (40 minutes)
	@$(BIN)/python -m benchmarks.real_people.digits $(BENCH_ARGS)

bench-robust: $(VENV)/installed ## speech as it is recorded: silence around it, telephones, clipping, ten minutes (10 minutes)
	@$(BIN)/python -m benchmarks.recognition.robust $(BENCH_ARGS)

bench-harm: $(VENV)/installed ## is anybody worse off? known voices and new ones, half a minute to four, by gate (2 hours)
	@$(BIN)/python -m benchmarks.gains.harm $(BENCH_ARGS)

bench-unlabelled: $(VENV)/installed ## speech without transcripts: how much of its gain is found all the same (5 minutes)
	@$(BIN)/python -m benchmarks.gains.unlabelled $(BENCH_ARGS)

bench-decode: $(VENV)/installed ## decoders, with a language model and without: the demo's speech, digits, people (an hour)
	@$(BIN)/python -m benchmarks.recognition.decode $(BENCH_ARGS)

bench-transcribe: $(VENV)/installed ## users' adapters in recognition: mixed batches, cold ones on S3, a cache (4 minutes)
	@$(BIN)/python -m benchmarks.recognition.transcribe $(BENCH_ARGS)

bench-sweep: $(VENV)/installed ## a sweep of 24 adapters on 8 users against a process each (10 minutes)
	@$(BIN)/python -m benchmarks.adapting.sweep $(BENCH_ARGS)

bench-words: $(VENV)/installed ## users' own words: names that the base has never heard, before and after (5 minutes)
	@$(BIN)/python -m benchmarks.recognition.words $(BENCH_ARGS)

bench-scale: $(VENV)/installed ## one worker against two, one Ray node against two (15 minutes)
	@$(BIN)/python -m benchmarks.fleets.scale $(BENCH_ARGS)

bench-gpu: $(VENV)/installed ## cohorts on one GPU: users an hour, stages, limits
	@$(BIN)/python -m benchmarks.adapting.gpu $(BENCH_ARGS)

chaos: $(VENV)/installed ## faults by the thousand and kills by the dozen: is anything lost, twice or wrong? (20 minutes)
	@$(BIN)/python -m benchmarks.chaos $(BENCH_ARGS)

bench-plan: $(VENV)/installed ## the plan of a million users, one in twenty changed, and the driver of 100,000 (6 minutes)
	@$(BIN)/python -m benchmarks.fleets.plan $(BENCH_ARGS)

bench-finished: $(VENV)/installed ## a finished run of 1000 users again, on files and on S3: what it writes, and seconds (3 minutes)
	@$(BIN)/python -m benchmarks.fleets.finished $(BENCH_ARGS)

bench-night: $(VENV)/installed ## nights of 60 users, new, unchanged and two changed: seconds, requests, estimate and ETA against the truth (6 minutes)
	@$(BIN)/python -m benchmarks.fleets.night $(BENCH_ARGS)

bench-train: $(VENV)/installed ## a training step of a base against the public layout of DeepSpeech2 (5 minutes)
	@$(BIN)/python -m benchmarks.bases.train $(BENCH_ARGS)

bench-scale-train: $(VENV)/installed ## base training by one DDP worker against two, and its loader alone (5 minutes)
	@$(BIN)/python -m benchmarks.bases.scale_train $(BENCH_ARGS)

bench-epoch: $(VENV)/installed ## reading a million utterances and planning an epoch of them (1 minute)
	@$(BIN)/python -m benchmarks.bases.epoch $(BENCH_ARGS)

browser: ## install Chromium (on Debian), in which a test opens the page of an evaluation
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	  command -v $$name >/dev/null && exit; done; \
	$(SUDO) apt-get update -qq && $(SUDO) apt-get install -qq --yes --no-install-recommends chromium >/dev/null

fix: $(VENV)/installed ## mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(VENV)/tools/installed ## resolve the dependencies again into the lock files
	@$(UV) $(COMPILE) pyproject.toml --extra dev --output-file requirements.lock
	@$(UV) $(RUNTIME) --output-file requirements.gpu.lock
	@$(UV) $(RUNTIME) --output-file requirements.cpu.lock \
	  $$(sed -nE 's/^((cuda|nvidia|torch|triton)[a-z0-9-]*)==.*/--no-emit-package=\1/p' requirements.gpu.lock)
	@sed -n '1s/ .*//p' uv.requirements.txt | $(UV) $(COMPILE) --no-annotate - > $(VENV)/uv.lock
	@mv $(VENV)/uv.lock uv.requirements.txt

clean: ## remove the environment, caches and the demo's output
	rm -rf $(VENV) build demo-data *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything is pinned with hashes: first uv, in an environment of its own, then what uv installs.
$(VENV)/installed: pyproject.toml setup.py requirements.lock $(VENV)/tools/installed
	@echo "installing the locked dependencies into $(VENV) …"
	@$(UV) pip sync --quiet --require-hashes requirements.lock || { \
	  echo "where the network has certificates of its own: make $(or $(firstword $(MAKECMDGOALS)),test) UV_SYSTEM_CERTS=1" >&2; exit 1; }
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/tools/installed: uv.requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ds2ray needs Python 3.11 or newer, and '$(PYTHON)' is not: name another one, as in" >&2; \
	  echo "  make $(or $(firstword $(MAKECMDGOALS)),test) PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m venv $(VENV)/tools
	@$(VENV)/tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r uv.requirements.txt
	@touch $@
