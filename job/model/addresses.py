"""What a user names at the command line: a model, or the newest one; pictures, and folders of them."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from job import storage
from job.errors import UserError
from job.model import load_model
from job.model.format import CONTENT, MODEL_FOLDER
from job.storage.runfolder import MANIFEST

if TYPE_CHECKING:
    from job.model.predict import Model

LATEST = "latest"
"""In place of a model's address: the model of the newest whole run."""
_LOOKED_AT_ONCE = 16


def newest(out: str) -> str:
    """The address of the model that the newest whole run below `out` has left.

    A run is whole when its manifest, which is written last, is there; the newest one is that whose manifest was written
    last. Runs without a model, such as those of `fruits predict`, are passed over.

    Raises
    ------
    UserError
        There is no such run, or the store does not work.

    """
    root = storage.normalise(out)
    names = storage.list_folders(root)
    with ThreadPoolExecutor(_LOOKED_AT_ONCE) as pool:
        times = list(pool.map(lambda name: storage.modified(storage.join(root, name, MANIFEST)), names))
    whole = sorted(((time, name) for time, name in zip(times, names, strict=True) if time is not None), reverse=True)
    for _, name in whole:
        found = storage.join(root, name, MODEL_FOLDER)
        if storage.exists(storage.join(found, CONTENT)):
            return found
    raise UserError(
        f"There is no whole run with a model in '{root}': make one with `fruits run`, say with --out where the runs "
        "are, or name the model with --model."
    )


def loaded(model: str, out: str) -> "Model":
    """The model at an address, or for "latest" that of the newest whole run below `out`.

    Raises UserError as `newest` and `job.model.load_model` do.
    """
    return load_model(newest(out) if model == LATEST else model)


@dataclass(frozen=True, slots=True)
class Named:
    """A picture that a user has named: `name` relative to `root`, and `shown`, how answers call it."""

    root: str
    name: str
    shown: str


def pictures(arguments: Iterable[str]) -> Iterator[Named]:
    """The pictures that the arguments name, in their order: files as they are, and all pictures below folders.

    Folders may be local, in an object store, or packed. Files need not be there: who reads them will see.

    Raises
    ------
    UserError
        A folder has no pictures or can't be read.

    """
    for argument in arguments:
        address = storage.normalise(argument)
        if _may_be_folder(address):
            root = storage.data_root(address)
            names = storage.list_images(root)["name"].to_pylist()
            if names:
                shown = argument.rstrip("/") if argument.strip("/") else argument
                yield from (Named(root, name, f"{shown}/{name}") for name in names)
                continue
            if not storage.is_remote(address) or address.count("/") < 3:  # in a bucket, it may be a picture's key
                raise UserError(f"There are no pictures (.jpg, .jpeg, .png) in '{argument}': check the address.")
        folder, _, name = address.rpartition("/")
        yield Named(folder or "/", name, argument)


def _may_be_folder(address: str) -> bool:
    if storage.is_remote(address):
        return not address.lower().endswith(storage.IMAGE_SUFFIXES)
    return os.path.isdir(address)  # noqa: PTH112  (Path.is_dir raises for a name that is too long)


def contents(named: Iterable[Named], max_bytes: int) -> Iterator[tuple[str, bytes | storage.Fault]]:
    """How each picture is called, and its bytes or why it has none. Pictures of one folder are asked for at once."""
    for root, group in groupby(named, key=lambda picture: picture.root):
        together = list(group)
        read = storage.read_many(root, [picture.name for picture in together], max_bytes=max_bytes)
        yield from ((picture.shown, content) for picture, content in zip(together, read, strict=True))
