# The inner loop. `make check` is what a change must pass before it is committed.
PYTHON := .venv/bin/python

.PHONY: check format lint types unit wire lab

check: format lint types unit

format:
	$(PYTHON) -m ruff format .

lint:
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

unit:
	$(PYTHON) -m pytest tests/unit

wire:
	$(PYTHON) -m pytest tests/wire

lab:
	$(PYTHON) -m pytest tests/lab
