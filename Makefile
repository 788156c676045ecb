PYTHON ?= .venv/bin/python
IMAGE ?= $(or $(FRUITS_IMAGE),localhost/fruits-job:dev)

.PHONY: run test check manifests benchmarks image sbom scan

# sets up .venv (and a Java, where there is none) and runs the main job on generated pictures
run:
	.ci/setup
	.venv/bin/fruits run $(ARGS)

# sets up .venv and passes the tests; another PYTHON is taken as it is
test:
	$(if $(filter .venv/bin/python,$(PYTHON)),.ci/setup dev)
	$(PYTHON) -m pytest $(ARGS)

check:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check -q .
	$(PYTHON) -m mypy
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(PYTHON) helm/render.py --check

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
