"""An address becomes a table of images, and that table a Spark frame whose partitions follow cores and bytes.

Everything here works on Arrow columns or on a slice of them at a time, so that ten million pictures need no list of
ten million Python strings.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from job import storage
from job.errors import UsageError, UserError
from job.labels import read_labels
from job.learn.held_out import held_out
from job.near_miss import did_you_mean
from job.splits import FOLDERS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Bytes of pictures that one task reads and describes: about 320 pictures of 100 x 100 pixels, which keep a core busy
# for far longer than Spark needs between two tasks (tests/benchmarks/engine.py measures both).
_TASK_BYTES = 2 << 20
# A core that would have fewer tasks than this gets tasks of half the size, because more of them are easier to balance.
_FEW = 8
_MOST_TASKS = 10_000
# Relative sizes of each core's last four tasks. Smaller tasks at the end let all cores finish at about the same time;
# they are used only where a core has more than four.
_LAST = (0.75, 0.5, 0.25, 0.125)
# Each picture counts as its own bytes plus this many, so that very small pictures are not all put into one task.
_PICTURE_BYTES = 1 << 10
# How many levels below an address a data set is looked for, and among how many folders at most.
_LEVELS, _MOST_PLACES = 2, 20
# Number of rows that are turned into Python objects, or into text to hash, at a time.
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Images:
    """The pictures of one split.

    `table` has one row for each picture, sorted by name: `ima` string, relative to `root`; `cat` string, the name of
    the folder that the picture lies in; `size` int64, in bytes.

    `versions` are those of the listing (`job.storage.LISTING`), int64 in the order of the table: another number where a
    picture was replaced. None where they are not known.

    `passed_over` counts, by kind, files that lie beside the pictures and are none; empty where some categories were
    chosen.
    """

    split: str
    root: str
    table: pa.Table
    versions: pa.Array | None = None
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of pictures."""
        return int(self.table.num_rows)

    def categories(self) -> dict[str, int]:
        """Number of pictures of each category, in alphabetical order of the categories."""
        counts = pc.value_counts(self.table["cat"])
        pairs = ((item["values"].as_py(), item["counts"].as_py()) for item in counts)
        return dict(sorted(pairs))

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all names and sizes: equal for the same pictures, and for no others."""
        state = hashlib.sha256()
        for start in range(0, len(self), _ROWS_AT_ONCE):
            rows = self.table.slice(start, _ROWS_AT_ONCE).combine_chunks()
            names, sizes = rows["ima"].cast(pa.binary()), rows["size"].cast(pa.string()).cast(pa.binary())
            lines = pc.binary_join_element_wise(pc.binary_join_element_wise(names, sizes, b"\0"), b"", b"\n")
            for chunk in lines.chunks:
                state.update(memoryview(chunk.buffers()[2])[: pc.sum(pc.binary_length(chunk)).as_py()])
        return state.hexdigest()

    def take(self, rows: NDArray[Any]) -> "Images":
        """The pictures with these row numbers (integers, of shape (n,)), in the order of `rows`.

        Ascending row numbers keep the table sorted by name.
        """
        wanted = pa.array(rows)
        versions = None if self.versions is None else self.versions.take(wanted)
        return replace(self, table=self.table.take(wanted), versions=versions)


def split_folder(split: str) -> str:
    """The name of the folder of the split `train` or `test` in a data set that holds both: `Training` or `Test`.

    Raises ValueError for any other split.
    """
    if split not in FOLDERS:
        raise ValueError(f"The split '{split}' has no folder of its own: the splits with one are train and test.")
    return FOLDERS[split]


def listing(split: str, root: str, folder: str = "", categories: Sequence[str] = (), *, loose: bool = False) -> Images:
    """All pictures below `root/folder`, or those of some categories. The category of a picture is the name of the
    folder that it lies in, at whatever depth.

    Parameters
    ----------
    split : name of the split that these pictures are.
    root : folder, `s3://` address, or address of packed pictures. Names in the result are relative to it.
    folder : part of `root` to list, such as `Training`; all of it if empty. Where `root` has no such folder, but one or
        two levels below there is just one place that does, as archives unpack, that place is `root`.
    categories : categories to keep; all if empty. Names that are given twice count once.
    loose : whether pictures may lie in no category; theirs is the empty text then.

    Raises UserError when an address does not exist, holds no pictures, has a picture that lies in no category, or lacks
    a category that was named.
    """
    root = storage.data_root(root)
    where = storage.join(root.removesuffix(f"/{storage.INDEX}"), folder)
    storage.check(root)
    categories = [unicodedata.normalize("NFC", name) for name in categories]
    others = storage.PassedOver()
    found = storage.list_images(root, folder, frozenset(categories), others)
    if not found.num_rows:
        inner = _inner_root(root, folder) if folder else None
        if inner is not None:
            return listing(split, inner, folder, categories, loose=loose)
        if not categories:
            raise _nothing(root, folder, where)
    depth = folder.count("/") + 1 if folder else 0
    cats, stray = folders_of(found["name"]), _stray(found["name"], depth)
    if categories:
        known = set(pc.unique(cats.filter(pc.invert(stray))).to_pylist())
        missing = [name for name in categories if name not in known]
        if missing:
            raise _missing(missing[0], root, folder, where)
        wanted = pc.and_not(pc.is_in(cats, pa.array(categories, pa.string())), stray)
        found, cats = found.filter(wanted), cats.filter(wanted)
    elif loose:
        cats = pc.fill_null(pc.if_else(stray, "", cats), "")
    elif pc.any(stray).as_py():
        raise UserError(
            f"The picture '{found['name'].filter(stray)[0].as_py()}' in '{root}' is in no category folder: move it to "
            f"{folder + '/' if folder else ''}<Category>/."
        )
    # one column after another in one piece, so that no second copy of all of them is held
    names, sizes, versions = found["name"], found["size"], found["version"].combine_chunks()
    del found
    names = names.combine_chunks()
    table = pa.table({"ima": names, "cat": cats.combine_chunks(), "size": sizes.combine_chunks()})
    return Images(split, root, table, versions, {} if categories else others.counts())


def _stray(names: pa.ChunkedArray, depth: int) -> pa.ChunkedArray:
    """Which pictures lie directly in the folder that is listed, which is no category: it has `depth` parts."""
    return pc.equal(pc.count_substring(names, "/"), depth)


def _missing(category: str, root: str, folder: str, where: str) -> UserError:
    """Why there is no picture of a category that was named."""
    names = storage.list_images(root, folder)["name"]
    if not len(names):
        return _nothing(root, folder, where)
    stray = _stray(names, folder.count("/") + 1 if folder else 0)
    there = sorted(pc.unique(folders_of(names).filter(pc.invert(stray))).to_pylist())
    return UsageError(
        f"The category '{category}' is not in '{where}'{did_you_mean(category, there)}: it has "
        f"{', '.join(there[:10]) or 'none'}{' ...' if len(there) > 10 else ''}."
    )


def folders_of(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """The name of the folder that each picture lies in, which is its category; null for one that lies in none.

    Names are in the composed form of Unicode (NFC): macOS and some archives write accents as characters of their own.
    """
    cats = pc.struct_field(pc.extract_regex(names, r"(?:^|/)(?P<cat>[^/]+)/[^/]+$"), "cat")
    if pc.all(pc.string_is_ascii(cats)).as_py() is not False:
        return cats
    return pc.utf8_normalize(cats, "NFC")


def labelled(split: str, root: str, file: str, categories: Sequence[str] = ()) -> Images:
    """The pictures below `root` that a file of labels names, with its categories (`job.labels`).

    One that is not there is listed all the same, and rejected as unreadable when it is read. Raises UserError as
    `listing` and `read_labels` do.
    """
    root = storage.data_root(root)
    storage.check(root)
    labels = read_labels(file, root.removesuffix(f"/{storage.INDEX}"))
    wanted = {unicodedata.normalize("NFC", name) for name in categories}
    missing = sorted(wanted - set(labels.values()))
    if missing:
        meant = did_you_mean(missing[0], set(labels.values()))
        raise UsageError(f"The category '{missing[0]}' is not in '{file}'{meant}: see what it has.")
    there = storage.list_images(root)
    labels = _as_there(labels, there["name"])
    names = sorted((name for name, cat in labels.items() if not wanted or cat in wanted), key=str.encode)
    places = pc.index_in(pa.array(names, pa.string()), there["name"].combine_chunks())
    table = pa.table(
        {
            "ima": pa.array(names, pa.string()),
            "cat": pa.array([labels[name] for name in names], pa.string()),
            "size": pc.fill_null(there["size"].combine_chunks().take(places), 0),
        }
    )
    return Images(split, root, table, pc.fill_null(there["version"].combine_chunks().take(places), 0))


def _as_there(labels: Mapping[str, str], there: pa.ChunkedArray) -> Mapping[str, str]:
    """The labels with names in that form of Unicode which the store has them in."""
    odd = [name for name in labels if not name.isascii()]
    if not odd:
        return labels
    forms = there.filter(pc.invert(pc.string_is_ascii(there))).to_pylist()
    own, known = {unicodedata.normalize("NFC", name): name for name in forms}, set(forms)
    renamed = {name: own.get(unicodedata.normalize("NFC", name), name) for name in odd if name not in known}
    return {renamed.get(name, name): cat for name, cat in labels.items()}


def split_off(images: Images, fraction: float) -> Images:
    """Of all pictures of one folder those of the split `images.split`: `train`, or `test`, which are kept back from
    training (`job.learn.held_out`)."""
    kept = held_out(images.table["ima"].to_pylist(), images.table["cat"].to_pylist(), fraction)
    part = images.take(np.flatnonzero(kept == (images.split == "test")))
    # other files of the one folder are counted once
    return replace(part, passed_over={}) if images.split == "test" else part


def _inner_root(root: str, folder: str) -> str | None:
    """The only place one or two levels below `root` that has the folder. Raises UserError when there are several.

    None when there is none, or so many folders that they are categories.
    """
    if storage.is_packed(root):
        return None
    level = [root]
    for _ in range(_LEVELS):
        level = [storage.join(place, name) for place in level for name in storage.list_folders(place)]
        if len(level) > _MOST_PLACES:
            return None
        found = [place for place in level if folder in storage.list_folders(place)]
        if len(found) > 1:
            raise UserError(
                f"'{root}' holds several data sets, '{found[0]}' and '{found[1]}' among them: name one of them."
            )
        if found:
            return found[0]
    return None


def _nothing(root: str, folder: str, where: str) -> UserError:
    """Why there are no pictures below `root/folder`."""
    if not storage.is_packed(root) and not storage.exists(root):
        return UserError(f"'{root}' does not exist: give --data a folder or s3:// address with Training/ and Test/.")
    if folder and (storage.is_packed(root) or not storage.exists(where)):
        return UserError(
            f"'{root}' has no folder '{folder}/': pictures are expected as {folder}/<Category>/*.jpg "
            "(or use --train and --test, or --test-fraction 0.2 for one folder of categories)."
        )
    return UserError(f"There are no pictures (.jpg, .jpeg, .png) in '{where}': check the address.")


def check_categories(train: Images, test: Images, *, classify: bool) -> None:
    """Checks that a classifier could be trained on the categories of `train` and tested on those of `test`.

    Raises UserError when a category has test pictures and no training pictures, or when there is a single category
    although pictures are to be classified.
    """
    known = train.categories()
    if len(known) < 2 and classify:
        raise UserError(
            f"There is one category only, '{next(iter(known))}': a classifier needs two or more "
            "(--no-classify stops after the features)."
        )
    unknown = [name for name in test.categories() if name not in known]
    if unknown:
        raise UserError(
            f"The category '{unknown[0]}' has test pictures and no training pictures: add some, or name "
            "the categories to use with --categories."
        )


def choose(images: Images, wanted: int | None, *, option: str = "--train-images") -> Images:
    """`wanted` pictures spread evenly over the categories; all if `wanted` is None or not less than there are.

    A category gives the pictures with the lowest hashes of their names, so that the choice is the same every time and a
    smaller choice is part of a larger one. Categories too small for their share give all they have.

    Raises UserError, which names `option`, when a category of the split `train` would be left without a picture.
    """
    if wanted is None or wanted >= len(images):
        return images
    counts = images.categories()
    if images.split == "train" and wanted < len(counts):
        raise UserError(
            f"{option} {wanted} is less than the {len(counts)} categories: a category needs a "
            "picture; raise it, or name fewer with --categories."
        )
    return images.take(_lowest(images, _even_shares(counts, wanted)))


def first_of_each(images: Images, most: int) -> NDArray[np.bool_]:
    """Which pictures are among the `most` with the lowest hashes of their names in their category: shape (n,). The
    same every time, and of a larger `most` a part."""
    found = np.zeros(len(images), np.bool_)
    found[_lowest(images, {name: min(count, most) for name, count in images.categories().items()})] = True
    return found


def _lowest(images: Images, shares: dict[str, int]) -> NDArray[np.intp]:
    """Ascending row numbers of the pictures with the lowest hashes of their names, so many of each category."""
    encoded = images.table["cat"].combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    # Row numbers sorted by category and, within one, by hash. Equal hashes stay in the order of their names.
    order = np.lexsort((_name_hashes(images.table["ima"]), codes))
    sizes = np.bincount(codes, minlength=len(encoded.dictionary))
    starts = np.cumsum(sizes) - sizes
    given = [shares[cat] for cat in encoded.dictionary.to_pylist()]
    rows = np.concatenate([order[start : start + share] for start, share in zip(starts, given, strict=True)])
    return np.asarray(np.sort(rows), np.intp)


def _name_hashes(names: pa.ChunkedArray) -> NDArray[np.uint64]:
    """64-bit BLAKE2b of each name, as numbers that are ordered as the digests are."""
    hashes = np.empty(len(names), np.uint64)
    for start in range(0, len(names), _ROWS_AT_ONCE):
        part = names.slice(start, _ROWS_AT_ONCE).to_pylist()
        digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in part)
        hashes[start : start + len(part)] = np.frombuffer(digests, ">u8")
    return hashes


def _even_shares(counts: dict[str, int], wanted: int) -> dict[str, int]:
    """How many of the `wanted` pictures each category gives: the same number or all it has, and one more for as many of
    the first categories as the rest takes."""
    low, high = 0, wanted
    while low < high:
        level = (low + high + 1) // 2
        low, high = (level, high) if sum(min(n, level) for n in counts.values()) <= wanted else (low, level - 1)
    shares = {name: min(n, low) for name, n in counts.items()}
    more = {name for name, n in counts.items() if n > low}
    rest = wanted - sum(shares.values())
    for name in [name for name in counts if name in more][:rest]:
        shares[name] += 1
    return shares


def partitions(pictures: int, size: int, cores: int, least: int = 1) -> int:
    """Number of tasks that suits `pictures` pictures of `size` bytes in all on `cores` cores.

    A set of up to 2 MB a core gets one task for each core. A larger one gets a task for every MB until a core has
    eight, and then one for every 2 MB. The number is rounded up to whole rounds of the cores; it is at least `least`,
    at most 10,000 unless `least` is more, and never more than the pictures.
    """
    cost = size + pictures * _PICTURE_BYTES
    whole, halves = -(-cost // _TASK_BYTES), -(-2 * cost // _TASK_BYTES)
    wanted = max(cores, least, max(whole, min(halves, _FEW * cores)) if whole > cores else 1)
    rounds = -(-wanted // cores)
    return max(1, min(pictures, max(least, min(_MOST_TASKS, rounds * cores))))


def planned_partitions(images: Images, cores: int, *, exactly: int | None = None, least: int = 1) -> int:
    """`exactly` partitions if that is given, but not more than pictures; else as many as `partitions` finds."""
    if exactly:
        return min(exactly, len(images))
    return partitions(len(images), int(pc.sum(images.table["size"]).as_py() or 0), cores, least)


def shards(images: Images, count: int, seed: int, cores: int | None = None) -> list[pa.RecordBatch]:
    """The rows of `images.table`, shuffled by `seed` and cut into `count` parts of about the same bytes.

    Each part has some pictures of every category, as far as there are enough. Where `cores` is given and each core has
    five parts or more, its last four are ever smaller. There are fewer parts where there are fewer pictures.
    """
    return _cut(images, images.table, count, seed, cores)


def _cut(
    images: Images, table: pa.Table, count: int, seed: int, cores: int | None, parts: pa.Array | None = None
) -> list[pa.RecordBatch]:
    """`shards` of some columns of `images.table`. With `parts`, see `frame`, pictures of one file follow each other,
    and those in none come first."""
    weights = _weights(count, cores)
    random = np.random.default_rng(seed)
    blocks = storage.blocks_of(images.root, images.table["ima"])
    if blocks is None:
        order = random.permutation(len(images))
    else:  # Packed pictures are read in whole blocks, so the blocks are shuffled and their pictures stay together.
        number = np.asarray(blocks)
        order = np.lexsort((np.arange(len(images)), random.permutation(int(number.max()) + 1)[number]))
    if parts is not None:
        files = pc.fill_null(parts.dictionary_encode().indices, -1).to_numpy()
        order = order[np.argsort(files[order], kind="stable")]
    cost = np.cumsum(images.table["size"].to_numpy()[order] + _PICTURE_BYTES)
    ends = np.searchsorted(cost, cost[-1] * np.cumsum(weights)[:-1] / weights.sum(), side="right")
    bounds = np.concatenate([[0], np.maximum.accumulate(np.clip(ends, 1, len(images))), [len(images)]])
    del cost
    mixed = table.take(pa.array(order)).combine_chunks()
    parts = [mixed.slice(start, end - start) for start, end in pairwise(bounds) if end > start]
    return [batch for part in parts for batch in part.to_batches()]


def largest_share(images: Images, count: int, cores: int | None) -> float:
    """Upper bound of the bytes of the largest of `shards(images, count, seed, cores)`, whatever the seed, divided by
    the mean of all: 1.0 if all are equal. A picture counts as its bytes and 1 kB."""
    weights = _weights(count, cores)
    size = images.table["size"]
    total = int(pc.sum(size).as_py()) + len(images) * _PICTURE_BYTES
    largest = int(pc.max(size).as_py()) + _PICTURE_BYTES
    # A picture that crosses the border between two parts belongs to one of them with all its bytes.
    return float(min(weights.max() / weights.sum() * total + largest, total) * count / total)


def _weights(count: int, cores: int | None) -> NDArray[np.float64]:
    """Sizes of `count` shards in relation to a whole one: float64 of shape (count,)."""
    weights = np.ones(count)
    if cores is not None and count >= (len(_LAST) + 1) * cores:
        weights[-len(_LAST) * cores :] = np.repeat(_LAST, cores)
    return weights


def frame(
    spark: "SparkSession",
    images: Images,
    count: int,
    seed: int,
    cores: int,
    parts: pa.Array | None = None,
    copied: NDArray[np.bool_] | None = None,
) -> "DataFrame":
    """Spark frame with the string columns `root, ima, cat` and one partition for each of `shards`.

    It holds addresses only: pictures are read where they are described. With `parts`, which names for each picture the
    file that has it described already, or null (`job.kept`), there are also `size, version, part`, and pictures of one
    file stay together. `copied` (n,), where it is given, is a column of that name.
    """
    from pyspark.sql import functions as F

    table = images.table.select(["ima", "cat"])
    if parts is not None:
        versions = pa.repeat(0, len(images)).cast(pa.int64()) if images.versions is None else images.versions
        columns = [*table.columns, images.table["size"], versions, parts]
        table = pa.table(columns, names=["ima", "cat", "size", "version", "part"])
    if copied is not None:
        table = table.append_column("copied", pa.array(copied))
    made = spark.createDataFrame(pa.Table.from_batches(_cut(images, table, count, seed, cores, parts)))
    return made.select(F.lit(images.root).alias("root"), *table.column_names)
