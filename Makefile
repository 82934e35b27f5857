# Two commands on a fresh machine: `make demo` and `make test`. Each installs what it needs.
PYTHON ?= $(firstword $(foreach v,python3.11 python3.12 python3.13 python3,$(if $(shell command -v $(v) 2>/dev/null),$(v))))
VENV := .venv
STAMP := $(VENV)/.installed
RUN := $(VENV)/bin

.PHONY: demo test install bench trials lint types clean

demo: install
	$(RUN)/qtm demo

test: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/pytest --numprocesses auto --dist worksteal

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "diffusion-qtm needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[chain,dev]'
	touch $(STAMP)

bench: install
	$(RUN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(RUN)/pytest tests/benchmarks --benchmark-only --benchmark-group-by=group --benchmark-columns=min,median,rounds -o addopts=

trials: install
	$(RUN)/python tests/trials/kill_nine.py
	$(RUN)/python tests/trials/stable_diffusion.py --batch 1 --checkpointing
	$(RUN)/python tests/trials/forecasts.py
	$(RUN)/python tests/trials/recovery.py --out runs/recovery

lint: install
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

types: install
	$(RUN)/pyright

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache .benchmarks *.egg-info
