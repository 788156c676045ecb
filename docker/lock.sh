#!/usr/bin/env bash
# Writes the lock files from pyproject.toml: exact versions with the checksums of all their files, and no host.
# `docker/lock.sh --upgrade` takes the newest versions that pyproject.toml allows; without it, what is locked stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lock() {
  uv pip compile --quiet --generate-hashes --no-header --no-annotate \
    --python-version 3.11 --python-platform x86_64-manylinux_2_34 "$@"
}
lock --extra notebook pyproject.toml --output-file docker/requirements.lock "$@"
# numpy as in the image: mahotas is compiled against it where there is no wheel
lock docker/build.in --constraint docker/requirements.lock --output-file docker/build.lock "$@"
