# In a fresh clone with Python 3.11 or later: `make demo`, `make test`. Requirements are installed into .venv once.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-clusters test-lowest test-other-python wheel-smoke coverage check bench bench-evidence bench-coverage bench-intervals bench-videos bench-verdicts bench-differences bench-families bench-rules bench-trend bench-seeds bench-collapses bench-whole-path bench-planted bench-report bench-models bench-experts soak mutants help

help:
	@echo "make demo       install, train the demo study, write its report (outputs/demo/report)"
	@echo "make test       fast tests, 5 to 12 minutes on two cores"
	@echo "make test-slow  failures, whole sweeps, notebooks, browsers, many examples of each property, within 25 minutes"
	@echo "make test-clusters  sweeps on a real Slurm and a real Ray cluster, and a small soak, 20 to 40 minutes"
	@echo "make test-lowest    commands with the oldest Python and the lowest versions of dependencies, about 3 minutes"
	@echo "make test-other-python OTHER_PYTHON=python3.13  fast tests with another Python, in .venv-other"
	@echo "make wheel-smoke  every command after 'pip install .', in an empty folder, 5 to 10 minutes"
	@echo "make coverage   coverage of lines and branches by the fast tests"
	@echo "make check      ruff, mypy and codespell"
	@echo "make bench      speed: docs/performance.md, within 45 minutes on an idle machine"
	@echo "make soak       500 runs under random kills: docs/reliability.md, about 10 minutes on an idle machine"
	@echo "make mutants    plausible faults that the tests notice: docs/mutants.md, about an hour on two cores"
	@echo "make bench-coverage, bench-verdicts   simulations of intervals and of verdicts, in parts of up to 15 minutes"
	@echo "make bench-whole-path, bench-planted, bench-report, bench-models, bench-experts   see benchmarks/"

demo: .venv/installed
	$(BIN)/usaggr sweep

# One thread per process: two test processes on two cores would otherwise wait for each other.
test test-slow test-clusters wheel-smoke coverage: export OMP_NUM_THREADS = 1
# A test that needs a download fails at once instead of after ten attempts.
test test-slow test-clusters wheel-smoke coverage: export HF_HUB_OFFLINE = 1

# Each process runs its half of the files, so that shared fixtures of a file are built once, until one process is idle.
test: .venv/installed-dev
	$(BIN)/pytest -q -n 2 --dist worksteal --durations=10 $(PYTEST_FLAGS)

# Property tests are fast with few examples; here they run again with many.
test-slow: export USAGGR_HYPOTHESIS = thorough
test-slow: .venv/installed-dev
	$(BIN)/pytest -q -m '(slow or hypothesis) and not cluster' -n 2 --dist loadfile $(PYTEST_FLAGS)

# A failed test is repeated once, because it waits for programs that a busy machine delays; the summary lists it as RERUN.
# A real Slurm needs root and Debian's slurmctld slurmd slurmdbd slurm-client munge mariadb-server; otherwise it is skipped.
# CLUSTER_TESTS=tests/sweep/executors/test_executor_contract.py runs only the comparison of executors, 3 minutes.
test-clusters: .venv/installed-dev
	$(BIN)/pytest -q -m cluster -n 2 --dist loadfile --reruns 1 $(PYTEST_FLAGS) $(CLUSTER_TESTS)

# `pip install .` into a fresh environment, as a user does it, then every command there.
wheel-smoke: .venv/installed-dev
	$(BIN)/pytest -q -m installed $(PYTEST_FLAGS)

# The fast tests with another version of Python.
test-other-python:
	"$(OTHER_PYTHON)" -m venv --clear .venv-other
	.venv-other/bin/python -m pip install --quiet --editable '.[dev]'
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 .venv-other/bin/python -m pytest -q -n 2 --dist worksteal $(PYTEST_FLAGS)

# The commands, with one whole sweep, on the oldest Python of this machine and the oldest dependencies that are allowed.
# The messages of invalid options are those of typer, which differ between its versions.
test-lowest: .venv-lowest/installed
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 .venv-lowest/bin/python -m pytest -q -n 2 --dist worksteal -m 'slow or not slow' -k 'not invalid_option' $(PYTEST_FLAGS) tests/cli/test_main.py

.venv-lowest/installed: pyproject.toml .ci/constraints-lowest.txt
	"$$($(PYTHON) .ci/pythons.py oldest)" -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint .ci/constraints-lowest.txt --editable . 'pytest>=8.3' 'pytest-xdist>=3.6' 'hypothesis>=6.100'
	@touch $@

coverage: .venv/installed-dev
	$(BIN)/pytest -q -n 2 --cov=usaggr --cov-branch --cov-report=term:skip-covered $(PYTEST_FLAGS)

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

# Cost of a sweep beyond its computation: docs/performance.md. On an idle machine.
bench: .venv/installed-dev
	for module in data.cache evaluation.evaluation sweep.scaling training.workers sweep.sweep training.throughput; do \
		HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.$$module || exit 1; \
	done

# Simulated studies, judged by the package's own functions. Each part takes at most 15 minutes on two idle cores.
EVIDENCE := OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.evidence

bench-evidence: bench-coverage bench-verdicts
bench-coverage: bench-intervals bench-videos
bench-verdicts: bench-differences bench-families bench-rules bench-trend bench-seeds bench-collapses

# Coverage of intervals, and size of tests at the levels of Holm's method: docs/coverage.md, a part of docs/families.md.
bench-intervals: .venv/installed-dev
	$(EVIDENCE).coverage
	$(EVIDENCE).critical_values
	$(EVIDENCE).far_tail

# Coverage with videos of unequal length, and margins relative to the reference: docs/videos.md, docs/relative_margin.md.
bench-videos: .venv/installed-dev
	$(EVIDENCE).videos
	$(EVIDENCE).relative_margin

# Verdicts on planted differences: docs/verdicts.md.
bench-differences: .venv/installed-dev
	$(EVIDENCE).verdicts

# Families of verdicts, and power at equal error: parts of docs/families.md.
bench-families: .venv/installed-dev
	$(EVIDENCE).families
	$(EVIDENCE).equal_error

# Too few subjects, and failures that no subject shows: docs/too_few.md.
bench-rules: .venv/installed-dev
	$(EVIDENCE).rules

# Claims about the dependence on scale.
bench-trend: .venv/installed-dev
	$(EVIDENCE).worlds_trend --repetitions 200

# Power at the numbers of seeds that reports name: docs/seeds_needed.md.
bench-seeds: .venv/installed-dev
	$(EVIDENCE).seeds_needed

# Verdicts where single runs collapse: docs/collapses.md.
bench-collapses: .venv/installed-dev
	$(EVIDENCE).collapses

# Families of verdicts from predictions on disk: the last part of docs/families.md.
bench-whole-path: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.evidence.whole_path

# The same with networks trained on planted relations, 400 runs: docs/planted.md. Continues after an interruption.
bench-planted: .venv/installed-dev
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.planted --jobs 2

# Time and memory of a report of the paper's size.
bench-report: .venv/installed-dev
	$(BIN)/python -m benchmarks.report.report_build

# Size and speed of the networks, and the cost of experts: the tables of docs/models.md. On an idle machine.
bench-models: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.models.models

bench-experts: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.models.experts

# 500 tiny runs under random kills: docs/reliability.md.
soak: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks.sweep.soak

# Plausible faults, tried one at a time: docs/mutants.md. Continues after an interruption;
# MUTANTS="report holm-is-bonferroni" repeats those of a room, or single ones.
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
