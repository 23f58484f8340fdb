# From a fresh clone with Python 3.11 or later: `make demo`, `make test`. Everything is installed into .venv, once.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-clusters wheel-smoke coverage check bench bench-coverage bench-verdicts bench-planted bench-report bench-models bench-experts soak mutants help

help:
	@echo "make demo       install, train the demo study, write its report (outputs/demo/report)"
	@echo "make test       the fast tests, 5 to 12 minutes on two cores"
	@echo "make test-slow  faults, whole sweeps, notebooks, browsers, many examples of each property, within 25 minutes"
	@echo "make test-clusters  sweeps on a real Slurm and a real Ray cluster, and a small soak, 20 to 40 minutes"
	@echo "make wheel-smoke  every command of an installation with pip, in an empty folder, 5 to 10 minutes"
	@echo "make coverage   lines and branches that the fast tests execute"
	@echo "make check      ruff and mypy"
	@echo "make bench      speed: docs/performance.md, within 45 minutes on an idle machine"
	@echo "make soak       500 runs under random kills: docs/reliability.md, some 10 minutes on an idle machine"
	@echo "make mutants    which plausible faults the tests notice: docs/mutants.md, about an hour on two cores"
	@echo "make bench-coverage, bench-verdicts, bench-planted, bench-report, bench-models, bench-experts   see benchmarks/"

demo: .venv/installed
	$(BIN)/usaggr sweep

# One thread a process: two test processes on two cores would otherwise wait for each other.
test test-slow test-clusters wheel-smoke coverage: export OMP_NUM_THREADS = 1
# A test that asks for a download fails at once, and not after ten tries.
test test-slow test-clusters wheel-smoke coverage: export HF_HUB_OFFLINE = 1

# Each process keeps to its half of the files, so that what a file's tests share is made once, until one has nothing left.
test: .venv/installed-dev
	$(BIN)/pytest -q -n 2 --dist worksteal --durations=10 $(PYTEST_FLAGS)

# Property tests, which are fast with few examples, run here once more with many.
test-slow: export USAGGR_HYPOTHESIS = thorough
test-slow: .venv/installed-dev
	$(BIN)/pytest -q -m '(slow or hypothesis) and not cluster' -n 2 --dist loadfile $(PYTEST_FLAGS)

# A test that failed is tried once more, since it waits for programs that a busy machine delays; the summary names it as
# RERUN.
# A real Slurm needs root and Debian's slurmctld slurmd slurmdbd slurm-client munge mariadb-server; else it is skipped.
# CLUSTER_TESTS=tests/sweep/executors/test_executor_contract.py: the same scores on this machine, Slurm and Ray alone, 3 minutes.
test-clusters: .venv/installed-dev
	$(BIN)/pytest -q -m cluster -n 2 --dist loadfile --reruns 1 $(PYTEST_FLAGS) $(CLUSTER_TESTS)

# `pip install .` into a fresh environment, as a user does it, and every command there.
wheel-smoke: .venv/installed-dev
	$(BIN)/pytest -q -m installed $(PYTEST_FLAGS)

coverage: .venv/installed-dev
	$(BIN)/pytest -q -n 2 --cov=usaggr --cov-branch --cov-report=term:skip-covered $(PYTEST_FLAGS)

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What a sweep costs beyond its arithmetic: docs/performance.md. On an idle machine.
bench: .venv/installed-dev
	for part in data.cache evaluation.evaluation sweep.scaling training.workers sweep.sweep training.throughput; do \
		HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.$$part || exit 1; \
	done

# How often intervals hold the truth, and verdicts come out as planted: docs/coverage.md, docs/verdicts.md.
bench-coverage: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.evidence.coverage

bench-verdicts: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.evidence.verdicts

# The same with networks that are trained on planted relations, 400 runs: docs/planted.md. Goes on where it was stopped.
bench-planted: .venv/installed-dev
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.planted --jobs 2

# Time and memory of a report of the paper's size.
bench-report: .venv/installed-dev
	$(BIN)/python -m benchmarks.report.report_build

# Size and speed of the networks, and what experts cost: the tables of docs/models.md. On an idle machine.
bench-models: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.models.models

bench-experts: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.models.experts

# What 500 tiny runs come to under random kills: docs/reliability.md.
soak: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.sweep.soak

# Plausible faults, put in one at a time: docs/mutants.md. Goes on where it was stopped; MUTANTS="report holm-is-bonferroni"
# tries those of a room, or single ones, again.
mutants: .venv/installed-dev
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.mutants --slow $(if $(MUTANTS),--again --only $(MUTANTS))

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("usaggr needs Python 3.11 or later: make PYTHON=python3.12") if sys.version_info < (3, 11) else 0'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ .venv/installed
