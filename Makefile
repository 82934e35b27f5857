# Two commands on a fresh machine: `make demo` and `make test`. Each installs what it needs.
PYTHON ?= $(firstword $(foreach v,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(v) 2>/dev/null),$(v))))
VENV := .venv
STAMP := $(VENV)/.installed
RUN := $(VENV)/bin
PIP := $(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# PyPI's torch for Linux brings CUDA, 2.8 GB. Without an NVIDIA GPU the index of torch has a build of
# 200 MB; `make TORCH_INDEX=` takes PyPI's nevertheless.
TORCH_INDEX ?= $(if $(filter Linux,$(shell uname -s)),$(if $(shell command -v nvidia-smi 2>/dev/null),,https://download.pytorch.org/whl/cpu))
# Short-lived arrays of many threads would otherwise leave an arena for each thread.
export MALLOC_ARENA_MAX ?= 2

# A test that hangs ends with a traceback of every thread, and the others continue.
HANGS := -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true

# The checks before a commit: style, every formula against its oracle, every command,
# format, error and kind of chain once, on the smallest example that shows it.
# At most 12 minutes on two cores and 4 GB.
#
# `test-slow` runs tests of many fits, chains, processes or an installation: intervals and
# posteriors that hold the truth, chains that are interrupted everywhere, trained or sampled at
# length, further processes and devices, compiled denoisers, the wheel, the documentation, further
# Pythons.
# At most 40 minutes with installation. A file stays on one worker, which builds the wheel once.
.PHONY: demo test test-slow docs install check-install memory bench verify lint types clean

demo: install
	$(RUN)/qtm demo

test: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/pytest --numprocesses auto --dist worksteal $(HANGS)

test-slow: install
	$(RUN)/pytest -m slow --numprocesses auto --dist loadfile

# The documentation, in site/: open site/index.html. A warning is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "diffusion-qtm needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) --no-deps --retries 1 --index-url $(TORCH_INDEX) torch || echo "$(TORCH_INDEX) has no build of torch for this machine: taking PyPI's")
	$(PIP) torch
	$(PIP) --editable '.[chain,dev,docs]'
	touch $(STAMP)

# Check against the package index that the pins install on every supported machine.
check-install:
	$(PYTHON) -m tests.verification install --pip

# Time and peak memory of the demo and of both test tiers, all their processes together.
memory: install
	$(RUN)/python -m tests.verification memory

bench: install
	$(PIP) --editable '.[bench]'
	$(RUN)/pytest tests/benchmarks --benchmark-only --benchmark-group-by=group --benchmark-columns=min,median,rounds -o addopts=

# Verify the numbers of README.md and docs that take less than `UNDER` seconds each.
UNDER ?= 60
verify: install
	$(RUN)/python -m tests.verification --under $(UNDER)

lint: install
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

types: install
	$(RUN)/pyright

clean:
	rm -rf $(VENV) runs site .pytest_cache .ruff_cache .benchmarks *.egg-info
