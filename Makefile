PYTHON ?= .venv/bin/python

.PHONY: check test manifests benchmarks

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) helm/render.py --check

test:
	$(PYTHON) -m pytest

manifests:
	$(PYTHON) helm/render.py

benchmarks:
	$(PYTHON) tests/benchmarks/engine.py
