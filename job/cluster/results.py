"""A run's folder, copied from the store to this machine: whole or not at all, each file checked."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from job import storage
from job.errors import UsageError, UserError
from job.storage.runfolder import MANIFEST


def check(out: str, folder: Path) -> None:
    """Raises UserError when results could not be fetched: before the job is submitted rather than after."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--results '{folder}' is a file: name a folder.")
    if not storage.is_remote(out):
        raise UsageError(
            f"--results can't fetch from '{out}', which is a folder of the pods: give --out an s3:// address."
        )
    try:
        storage.check(out)
    except UserError as error:
        raise UserError(f"--results needs the store from this machine too: {error.message}", error.exit_code) from error


def fetch(out: str, run_name: str, folder: Path) -> Path:
    """Copies the run's folder to `folder/run_name`. Raises UserError when a file is missing or not what was written."""
    target = folder / run_name
    if target.exists():
        raise UserError(
            f"The results were not fetched, as '{target}' is there already: they are in "
            f"'{storage.join(out, run_name)}'."
        )
    root = storage.join(out, run_name)
    content = storage.read_bytes(storage.join(root, MANIFEST))
    files = json.loads(content)["files"]
    part = folder / f".{run_name}.{secrets.token_hex(4)}"
    try:
        part.mkdir(parents=True)
        with ThreadPoolExecutor(16) as pool:
            for done in [pool.submit(_copy, root, file, part) for file in files]:
                done.result()
        (part / MANIFEST).write_bytes(content)
        part.replace(target)
    except OSError as error:
        raise UserError(
            f"The results can't be written to '{target}': {error.strerror or error}; they are in '{root}'."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _copy(root: str, file: Mapping[str, Any], part: Path) -> None:
    relative = PurePosixPath(file["path"])
    if relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"The run in '{root}' names a file outside of it, '{relative}': it is not the job's.")
    data = storage.read_bytes(storage.join(root, str(relative)))
    if len(data) != file["bytes"] or hashlib.sha256(data).hexdigest() != file["sha256"]:
        raise UserError(f"'{storage.join(root, str(relative))}' is not what the run wrote: something has changed it.")
    place = part / relative
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
