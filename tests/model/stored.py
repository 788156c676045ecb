"""Copies of the stored model, whole and spoilt, for the tests of this folder."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from job.model import format as model_format

DATA = Path(__file__).parent / "data"
V1 = DATA / "v1"
# Parts of the model by the paths of their arrays; the numbers of the stages are those of the pipeline.
VOCABULARY, ORB, SCALER, COMPONENTS, CLASSIFIER = (1, 2, 3, 4, 6)


def files(folder: Path = V1 / "model") -> dict[str, bytes]:
    """All files of a model by their paths."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def content() -> dict[str, Any]:
    return json.loads((V1 / "model" / "model.json").read_bytes())


def arrays_path(stage: int) -> str:
    (path,) = (path for path in files() if path.startswith(f"stages/{stage}_") and path.endswith(".npz"))
    return path


def write(folder: Path, parts: Mapping[str, bytes]) -> Path:
    """Writes the files that are not there yet with that content."""
    for path, data in parts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != data:
            target.write_bytes(data)
    return folder


def remade(
    folder: Path, change: Callable[[dict[str, Any]], object] | None = None, replaced: Mapping[str, bytes] | None = None
) -> Path:
    """The stored model with another description or other files, written as a program would that means it so: all
    sizes and checksums are right."""
    parts, description = files(), content()
    del parts["model.json"]
    for key in ("format_version", "program", "files", "sha256"):
        del description[key]
    if change:
        change(description)
    return write(folder, model_format.assemble({**parts, **(replaced or {})}, description))


def signed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The stored model with any change of `model.json`, whose own checksum is right again."""
    described = content()
    change(described)
    described["sha256"] = model_format._own_digest(described)
    return write(folder, {**files(), "model.json": json.dumps(described).encode()})


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def with_lda(folder: Path, arrays: Mapping[str, Any]) -> Path:
    """The stored model with another classifier: lda, with these arrays."""
    return remade(
        folder, lambda found: found["classifier"].update(name="lda"), {arrays_path(CLASSIFIER): npz(**arrays)}
    )


def arrays(stage: int) -> dict[str, np.ndarray]:
    with np.load(V1 / "model" / arrays_path(stage)) as found:
        return dict(found)
