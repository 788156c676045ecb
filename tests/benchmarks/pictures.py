"""Which pictures a benchmark uses, and a folder that holds just these. Standard library only."""

import argparse
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SPLITS = {"train": "Training", "test": "Test"}


def choose(data: Path, split: str, categories: Sequence[str] = (), images: int | None = None) -> list[str]:
    """Names of the chosen pictures of a split, relative to `data` (`Training/Lemon/0_100.jpg`).

    `images` are spread evenly over the alphabetical categories, the first ones get the remainder; what a category
    lacks the others give. In a category the pictures with the lowest BLAKE2b hash of their names come first, so that
    a small choice is part of every larger one. `None` takes all.
    """
    folder = data / SPLITS[split]
    if not folder.is_dir():
        raise SystemExit(f"There is no folder '{folder}': --data needs {' and '.join(SPLITS.values())}.")
    available = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}
    if missing := sorted(set(categories) - set(available)):
        raise SystemExit(f"There is no category '{missing[0]}' in '{folder}'.")
    names = {
        category: sorted(
            (path.relative_to(data).as_posix() for path in available[category].rglob("*.jpg")),
            key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest(),
        )
        for category in sorted(categories or available)
    }
    total = sum(map(len, names.values()))
    if images is not None and images > total:
        raise SystemExit(f"{images} pictures were asked for, '{folder}' has {total} of these categories.")
    quota = _quotas({category: len(found) for category, found in names.items()}, total if images is None else images)
    return [name for category, found in names.items() for name in found[: quota[category]]]


def _quotas(available: dict[str, int], images: int) -> dict[str, int]:
    quota = dict.fromkeys(available, 0)
    while images > 0:
        unfilled = [category for category in available if quota[category] < available[category]]
        share, remainder = divmod(images, len(unfilled))
        for place, category in enumerate(unfilled):
            given = min(share + (place < remainder), available[category] - quota[category])
            quota[category] += given
            images -= given
    return quota


def stage(data: Path, names: Sequence[str], folder: Path) -> None:
    """Copy the pictures to `folder`: copies, not links, so that every program meets plain files, warm in the cache."""
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / name, target)


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """The options of all programs that take a choice of pictures."""
    parser.add_argument("--data", type=Path, required=True, help="folder with Training/ and Test/")
    parser.add_argument("--categories", default="", metavar="A,B")
    parser.add_argument("--train-images", type=int, metavar="N")
    parser.add_argument("--test-images", type=int, metavar="N")
    parser.add_argument("--words", type=int, default=50, metavar="K")
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "fruits-benchmark")
    parser.add_argument("--staged", action="store_true", help="--data holds the chosen pictures only: don't copy them")


@contextmanager
def staged_pictures(options: argparse.Namespace) -> Iterator[Path]:
    """A folder that holds the chosen pictures and no others."""
    if options.staged:
        yield options.data
        return
    categories = tuple(filter(None, options.categories.split(",")))
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        for split, images in (("train", options.train_images), ("test", options.test_images)):
            stage(options.data, choose(options.data, split, categories, images), Path(folder))
        yield Path(folder)
