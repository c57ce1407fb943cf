# SPDX-FileCopyrightText: containerless.django contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Aliases only: tools/run makes the environment under .cache, tools/check.py runs the stages.
.DEFAULT_GOAL := help
.PHONY: help tools lint format units units-py39 artifact apps report overlay guide gate molecule test demo bench-artifact bench-release fuzz-artifact bench-sandbox campaign-power campaign-crash campaign-escape campaign-limits campaign-faults campaign-interrupted build lock clean
run := tools/run
SCENARIO ?=
ARGS ?=

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
tools: ## make the tools' environment under .cache
	@$(run)
lint: ## ruff, mypy, yamllint, ansible-lint
	@$(run) python tools/check.py lint
format: ## let ruff format the Python files
	@$(run) ruff format --quiet .
units: ## unit tests
	@$(run) python tools/check.py units
units-py39: ## unit tests of module_utils on the oldest target Python, where it is found
	@$(run) python tools/check.py units-py39
artifact: ## builds end to end on this host, without machines: inputs, reproducibility, refusals
	@$(run) python tools/check.py artifact
apps: ## real apps in profile strict on Debian 12 and 13: servers, a task queue, uploads, databases; ARGS="--image debian13"
	@$(run) pytest tests/integration/apps $(ARGS)
overlay: ## a project's own tests in its sandbox: by a uv.lock and by pins, SQLite and PostgreSQL, Debian 12 and 13
	@$(run) pytest tests/integration/overlay $(ARGS)
report: ## the report of a test, in a real Chromium
	@$(run) python tools/check.py report
guide: ## docs/ci.md and the examples for CI, followed to the letter: a new project up to a green scenario of its own
	@$(run) python tools/check.py guide
gate: ## the gate before a release: records that count and that do not, hosts that are given, tests that are interrupted
	@$(run) python tools/check.py gate
molecule: ## Molecule scenarios on throwaway machines: all of them, or SCENARIO=name
	@$(run) python tools/check.py molecule $(SCENARIO)
test: ## everything above but overlay, of apps a part; what CI runs
	@$(run) python tools/check.py lint units units-py39 artifact apps report guide gate demo molecule
demo: ## the sample project: shipped, upgraded, broken, rolled back
	@$(run) python tests/demo/demo.py
fuzz-artifact: ## some 220,000 bad archives for the reader of artifacts; ARGS="--seed 1 --inputs 1000000" for other ones
	@$(run) python -m ansible_collections.containerless.django.tests.fuzz.artifact \
		--report docs/benchmarks/fuzz-artifact.md $(ARGS)
bench-artifact: ## figures of the artifact beside the floor, shiv, pex, tar and venv; ARGS=--quick for few rounds
	@$(run) python -m ansible_collections.containerless.django.tests.benchmarks.artifact $(ARGS)
bench-release: ## figures of a release: beside peers, under load, when things break; ARGS="--quick --only peers" for a part
	@$(run) python -m ansible_collections.containerless.django.tests.benchmarks.release $(ARGS)
bench-sandbox: ## figures of the sandbox: exposure of each profile, and what it costs; ARGS=--quick for few rounds
	@$(run) python -m ansible_collections.containerless.django.tests.benchmarks.sandbox $(ARGS)
campaign-power: ## power cuts at every step and flush, and full, late or read-only disks; ARGS="--only steps" for a part
	@$(run) python -m ansible_collections.containerless.django.tests.campaigns.power $(ARGS)
campaign-crash: ## kill -9 of module and control node everywhere; ARGS="--minutes 4" in parts, ARGS="--only release" for one story
	@$(run) python -m ansible_collections.containerless.django.tests.campaigns.crash $(ARGS)
campaign-escape: ## attempts to leave the sandbox, in an app's own unit, each with its control; ARGS="--only debian13" for a part
	@$(run) python -m ansible_collections.containerless.django.tests.campaigns.escape $(ARGS)
campaign-limits: ## bombs in an app of a virtual machine, and attempts at its kernel; ARGS="--only kernel" for a part
	@$(run) python -m ansible_collections.containerless.django.tests.campaigns.limits $(ARGS)
campaign-faults: ## a fault in each layer of the sample project: which step of the test catches it; ARGS="--only worker" for one
	@$(run) python -m ansible_collections.containerless.django.tests.campaigns.planted $(ARGS)
campaign-interrupted: ## Ctrl-C and kill -9 of a test at every task: what is left; ARGS="--only host --minutes 8" for a part
	@$(run) python -m ansible_collections.containerless.django.tests.campaigns.interrupted $(ARGS)
build: ## the collection's tarball, in .cache/dist
	@$(run) ansible-galaxy collection build --force --output-path .cache/dist
lock: ## pin requirements/*.in again, with hashes
	@$(run) python tools/lock.py
clean: ## remove our machines, then .cache
	@test ! -d .cache || $(run) python tools/clean.py
