PYTHON ?= .venv/bin/python
IMAGE ?= $(or $(FRUITS_IMAGE),localhost/fruits-job:dev)

.PHONY: check test manifests benchmarks image sbom scan

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check -q .
	$(PYTHON) -m mypy
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(PYTHON) helm/render.py --check

test:
	$(PYTHON) -m pytest

manifests:
	$(PYTHON) helm/render.py

benchmarks:
	$(PYTHON) tests/benchmarks/engine.py --data $(DATA)

# by podman, on a base image made here where there is no registry; elsewhere `docker build -f docker/Dockerfile .` does
image:
	FRUITS_IMAGE=$(IMAGE) .ci/image

sbom:
	$(PYTHON) docker/sbom.py $(IMAGE) dist/fruits-job.cdx.json

scan: sbom
	$(PYTHON) docker/scan.py dist/fruits-job.cdx.json
