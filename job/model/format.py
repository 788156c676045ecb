"""The format of a saved model: a folder with `model.json`, which says what is in it.

The folder is laid out as Spark ML's `PipelineModel` is (`metadata/part-00000`, `stages/<n>_<uid>/...`), so that
`PipelineModel.load` reads it, and `model.json`, written last, lets it be read without Spark:

- `format_version` and `program`: a reader looks at these first;
- `categories`: names of the labels 0, 1, ...;
- `blocks`: the parts of the feature vector: `descriptor`, `encoding`, and `arrays`, a path or null;
- `scaling`, `components`: null, or `arrays`, a path;
- `classifier`: null, or `name` and `arrays`;
- `picture`: `max_bytes` and `mask`, how a picture is read;
- `versions`, `recipe`, `facts`: what the model was made with and how it went, for people;
- `files`: bytes and SHA-256 of every file, by its path;
- `sha256`: that of all the above, as JSON with sorted keys and no spaces (`_own_digest`).

Arrays are NPZ files without compression and without pickle. What an encoding or a classifier names its arrays, and what
shapes they have, is part of the format. Arrays of no dimension named `fact_...` beside those of an encoding are facts.

How to change the format
------------------------
Adding a descriptor, an encoding or a classifier changes nothing: models name them. Nor does an array that is added to
those of an entry, where old readers leave it aside and answer as before, and new ones do without it: as `whitening`,
`centres` and `held_distances` of `lda` (`job.learn.unknown`), which older models do not have. What old readers would
misunderstand does: another meaning or name of a key or array, another computation of an entry that models name.

1. Count `FORMAT_VERSION` up and write the new form in `assemble`; `model_files` in `job/experiment/outputs.py` gives it
   the description.
2. Keep the reader of each old version in `_READERS`, and give the new one its own: a reader turns the content of
   `model.json` of its version into today's `Description`. Where names or meanings of arrays changed, it is the reader
   that says how the old ones are taken.
3. Run `tests/model/make_fixture.py`, which stores a small model of the new version with its expected answers as
   `tests/model/data/v<version>/`. Those of the old versions stay as they are and are never made again: the tests load
   each of them and compare its answers.
4. Describe the change above, and in the changelog which version of the program reads what. A model of a newer version
   is refused by older programs in a sentence, without a change there.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from job import storage
from job.errors import UserError
from job.learn.classifiers import CLASSIFIERS
from job.learn.classifiers.base import Trained
from job.learn.encodings import ENCODINGS
from job.learn.encodings.base import Codebook
from job.learn.pca import Projection
from job.learn.scaling import Scaling
from job.model import arrays as npz
from job.model.chain import Chain, Part
from job.registry import Registry
from job.vision.descriptors import DESCRIPTORS

FORMAT_VERSION = 1
PROGRAM = "fruits"
CONTENT = "model.json"
"""Name of the file that makes a folder a model."""
MODEL_FOLDER = "model"
"""The folder of a run in which its model lies."""

# A description is some 10 kB; with 10,000 categories it is below one megabyte.
_MOST_CONTENT = 16 << 20
_FACT = "fact_"
# The stage that each pipeline of this program begins with, as its metadata and the name of its folder have it.
_FIRST_STAGE = "DescriptorExtractor_"
_WAY_OUT = "copy it again, or make the run again"


# ---- writing


def assemble(files: Mapping[str, bytes], description: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a model by their paths, `model.json` last, which is written last too.

    Parameters
    ----------
    files
        Spark ML's files, by their paths below the folder of the model.
    description
        The keys `categories` to `facts` of the format, as values of JSON.

    """
    listed = {
        path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in sorted(files.items())
    }
    content = {"format_version": FORMAT_VERSION, "program": PROGRAM, **description, "files": listed}
    content["sha256"] = _own_digest(content)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return {**files, CONTENT: f"{text}\n".encode()}


def _own_digest(content: Mapping[str, Any]) -> str:
    own = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(own, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


# ---- what is read


@dataclass(frozen=True)
class Block:
    """A block as `model.json` describes it: names, and the path of its arrays."""

    descriptor: str
    encoding: str
    arrays: str | None


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of `model.json`, whichever version it has: see the module's text."""

    categories: tuple[str, ...]
    blocks: tuple[Block, ...]
    scaling: str | None
    components: str | None
    classifier: tuple[str, str | None] | None
    max_bytes: int
    mask: bool
    versions: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def paths(self) -> list[str]:
        """Paths of all arrays."""
        classifier = None if self.classifier is None else self.classifier[1]
        found = [*(block.arrays for block in self.blocks), self.scaling, self.components, classifier]
        return [path for path in found if path is not None]


@dataclass(frozen=True)
class Stored:
    """A model that was read and found whole.

    Attributes
    ----------
    uri
        Its address.
    version
        Version of the format in which it is stored.
    description
        What `model.json` says.
    chain
        What it computes.
    digest
        SHA-256 of its `model.json`'s content, which lists the checksums of all files: two models of the same digest
        are the same.

    """

    uri: str
    version: int
    description: Description
    chain: Chain
    digest: str


class _DamageError(Exception):
    """A phrase that says what is wrong with a model."""


# ---- reading


def read(uri: str | os.PathLike[str]) -> Stored:
    """Read a model from its folder, from the folder of a run or from its `model.json`, at any address of `job.storage`.

    Everything is checked before anything is made of it: `model.json`, sizes and checksums of all files, types, shapes
    and values of all arrays.

    Raises
    ------
    UserError
        There is no model, or only a part of one; it is damaged, newer than this program or another program's; or this
        program lacks a part of it.

    """
    root, data = _find(storage.normalise(os.fspath(uri)))
    try:
        content = _content(root, data)
        version = content["format_version"]
        description = _READERS[version](content)
        files = _files(root, _listed(content))
        chain = _chain(root, description, _arrays(description, files))
        return Stored(root, version, description, chain, content["sha256"])
    except _DamageError as damage:
        raise UserError(f"The model '{root}' is damaged: {damage}; {_WAY_OUT}.") from damage


def _find(address: str) -> tuple[str, bytes]:
    """The folder of the model and its `model.json`. UserError where there is none."""
    address = address.removesuffix(f"/{CONTENT}")
    for root in (address, storage.join(address, MODEL_FOLDER)):
        (found,) = storage.read_many(root, [CONTENT], max_bytes=_MOST_CONTENT)
        if isinstance(found, bytes):
            return root, found
        if found.reason != "unreadable":
            size = "empty" if found.reason == "empty" else "too large to be one"
            raise UserError(f"The model '{root}' is damaged: its {CONTENT} is {size}; {_WAY_OUT}.")
    if not storage.exists(address):
        raise UserError(f"There is no model at '{address}': check the address.")
    for root in (address, storage.join(address, MODEL_FOLDER)):
        _refuse_without_content(root)
    raise UserError(
        f"'{address}' holds no model: give the folder of a run, or the folder with {CONTENT} that a run left in it."
    )


def _refuse_without_content(root: str) -> None:
    """UserError that tells a model of this program that is half-written from one of Spark ML or of MLflow.

    Nothing is raised where there is no model at all.
    """
    inside = {part for part in (CONTENT, "metadata", "stages", "MLmodel") if storage.exists(storage.join(root, part))}
    if CONTENT in inside or _is_begun(root, inside):
        raise UserError(
            f"The model '{root}' is only half there, because its {CONTENT}, which is written last, is missing or "
            "can't be read: wait until its run has ended, or make the run again."
        )
    other = "MLflow" if "MLmodel" in inside else "Spark ML" if inside else None
    if other:
        raise UserError(
            f"The model '{root}' was saved by {other} and has no {CONTENT}: load it with {other}, or give the folder "
            f"of a run of {PROGRAM}."
        )


def _is_begun(root: str, inside: AbstractSet[str]) -> bool:
    """Whether files of a run's model are there; `inside` are the names of files and folders in `root`."""
    # Spark's own writers leave `_SUCCESS` beside metadata, and a run does not.
    if not inside & {"metadata", "stages"} or storage.exists(storage.join(root, "metadata/_SUCCESS")):
        return False
    (metadata,) = storage.read_many(root, ["metadata/part-00000"], max_bytes=_MOST_CONTENT)
    stages = storage.list_folders(root, "stages") if "stages" in inside else []
    found = [metadata.decode(errors="replace")] if isinstance(metadata, bytes) else []
    return any(_FIRST_STAGE in text for text in [*found, *stages])


def _content(root: str, data: bytes) -> dict[str, Any]:
    """What `model.json` says, if it is one of this program and of a version that is known, and as it was written."""
    try:
        content = json.loads(data.decode(), parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _DamageError(f"its {CONTENT} is no JSON") from error
    if not isinstance(content, dict):
        raise _DamageError(f"its {CONTENT} is no object of JSON")
    program, version = content.get("program"), content.get("format_version")
    if not isinstance(program, str) or type(version) is not int or version < 1:
        raise UserError(f"'{root}' is no model of this program: its {CONTENT} names no program and version.")
    if program != PROGRAM:
        raise UserError(f"'{root}' is a model of the program '{program}', not of {PROGRAM}: check the address.")
    if version > FORMAT_VERSION:
        raise UserError(
            f"The model '{root}' has format version {version}, and this program reads versions up to {FORMAT_VERSION}: "
            "install a newer one."
        )
    if content.get("sha256") != _digest_or_none(content):
        raise _DamageError(f"its {CONTENT} is not as it was written")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _digest_or_none(content: Mapping[str, Any]) -> str | None:
    try:
        return _own_digest(content)
    except (ValueError, RecursionError):  # no Unicode, a number too large for a float, or lists too deep in each other
        return None


def _read_1(content: Mapping[str, Any]) -> Description:
    """Version 1."""
    picture, classifier = _object(content, "picture"), content.get("classifier")
    max_bytes, mask = picture.get("max_bytes"), picture.get("mask")
    if type(max_bytes) is not int or max_bytes < 1 or not isinstance(mask, bool):
        raise _wrong("picture")
    return Description(
        categories=_categories(content),
        blocks=_blocks(content),
        scaling=_part(content, "scaling"),
        components=_part(content, "components"),
        classifier=None if classifier is None else (_text(classifier, "name", "classifier"), _path(classifier)),
        max_bytes=max_bytes,
        mask=mask,
        versions=_object(content, "versions"),
        recipe=_object(content, "recipe"),
        facts=_object(content, "facts"),
    )


_READERS: Mapping[int, Callable[[Mapping[str, Any]], Description]] = {1: _read_1}


def _wrong(key: str) -> _DamageError:
    return _DamageError(f"'{key}' in its {CONTENT} is not what it must be")


def _object(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    if not isinstance(found, dict):
        raise _wrong(key)
    return found


def _text(content: Any, key: str, where: str) -> str:
    found = content.get(key) if isinstance(content, dict) else None
    if not isinstance(found, str) or not found:
        raise _wrong(where)
    return found


def _path(content: Any) -> str | None:
    if content.get("arrays") is None and "arrays" in content:
        return None
    return _text(content, "arrays", "arrays")


def _part(content: Mapping[str, Any], key: str) -> str | None:
    if key in content and content[key] is None:
        return None
    return _text(content.get(key), "arrays", key)


def _categories(content: Mapping[str, Any]) -> tuple[str, ...]:
    found = content.get("categories")
    if not isinstance(found, list) or not found or not all(isinstance(name, str) and name for name in found):
        raise _wrong("categories")
    if len(set(found)) < len(found):
        raise _wrong("categories")
    return tuple(found)


def _blocks(content: Mapping[str, Any]) -> tuple[Block, ...]:
    found = content.get("blocks")
    if not isinstance(found, list) or not found:
        raise _wrong("blocks")
    return tuple(
        Block(_text(block, "descriptor", "blocks"), _text(block, "encoding", "blocks"), _path(block)) for block in found
    )


# ---- files


@dataclass(frozen=True)
class _File:
    """Size and SHA-256 that a file must have."""

    bytes: int
    sha256: str


def _listed(content: Mapping[str, Any]) -> dict[str, _File]:
    """The files of the model by their paths, all of which lie in its folder."""
    found = {}
    for path, file in _object(content, "files").items():
        if not _is_inside(path):
            raise _DamageError(f"its {CONTENT} lists '{path}', which is no path inside the model")
        size, digest = (file.get("bytes"), file.get("sha256")) if isinstance(file, dict) else (None, None)
        if type(size) is not int or size < 0 or not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise _wrong("files")
        found[path] = _File(size, digest)
    return found


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & set(parts) and path != CONTENT


def _files(root: str, listed: Mapping[str, _File]) -> dict[str, bytes]:
    """All files, which are as they were written."""
    most = max((file.bytes for file in listed.values()), default=0)
    found: dict[str, bytes] = {}
    contents = storage.read_many(root, list(listed), max_bytes=most)
    for (path, file), read_ in zip(listed.items(), contents, strict=True):
        if read_ == storage.Fault("unreadable"):
            raise _DamageError(f"'{path}' is missing or can't be read")
        data = b"" if isinstance(read_, storage.Fault) else read_
        if read_ == storage.Fault("too_large") or len(data) != file.bytes:
            raise _DamageError(f"'{path}' has not its {file.bytes} bytes")
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise _DamageError(f"the content of '{path}' is not as it was written")
        found[path] = data
    return found


def _arrays(description: Description, files: Mapping[str, bytes]) -> dict[str | None, npz.Arrays]:
    """The arrays in each of the files that the description names; none for the path None."""
    found: dict[str | None, npz.Arrays] = {None: {}}
    for path in description.paths():
        if path not in files:
            raise _DamageError(f"'{path}', which it needs, is not among its files")
        try:
            found[path] = npz.read(files[path])
        except ValueError as error:
            raise _DamageError(f"'{path}' {error}") from error
    return found


# ---- what they make up


def _chain(root: str, description: Description, arrays: Mapping[str | None, npz.Arrays]) -> Chain:
    """What the arrays compute, once they are known to fit each other."""
    parts = []
    for block in description.blocks:
        descriptor = _known(DESCRIPTORS, block.descriptor, root)
        encoding = _known(ENCODINGS, block.encoding, root)
        parts.append(Part(descriptor, encoding, _codebook(arrays[block.arrays])))
    scaling = components = classifier = trained = None
    try:
        if description.scaling is not None:
            scaling = Scaling.of(arrays[description.scaling])
        if description.components is not None:
            found = arrays[description.components]
            components = Projection(found["mean"], found["axes"], found["variances"])
    except KeyError as missing:
        raise _DamageError(f"there is no array named {missing}") from missing
    if description.classifier is not None:
        name, path = description.classifier
        classifier, trained = _known(CLASSIFIERS, name, root), Trained(arrays[path])
    chain = Chain(tuple(parts), scaling, components, classifier, trained)
    try:
        chain.check(len(description.categories))
    except ValueError as error:
        raise _DamageError(str(error)) from error
    return chain


def _codebook(arrays: npz.Arrays) -> Codebook:
    """Arrays apart from facts, which are stored as arrays of no dimension."""
    facts = {name for name, array in arrays.items() if name.startswith(_FACT) and not array.ndim}
    return Codebook(
        {name: array for name, array in arrays.items() if name not in facts},
        {name.removeprefix(_FACT): arrays[name].item() for name in facts},
    )


def _known(registry: Registry[Any], name: str, root: str) -> Any:
    """The entry of that name. UserError where this program has none, or its library is not installed."""
    if name not in registry:
        raise UserError(
            f"The model '{root}' needs the {registry.kind} '{name}', which this program does not have: add it to its "
            "registry, or install the version that has it."
        )
    try:
        return registry.get(name)
    except ImportError as error:
        raise UserError(
            f"The {registry.kind} '{name}' of the model '{root}' can't be loaded: {error}; install what is missing."
        ) from error
