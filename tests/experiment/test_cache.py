"""What the cache of descriptors keeps, what it gives again, and that runs on one cache do not disturb each other."""

import errno
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from absent import absent

from job import dataset, storage
from job.dataset import Images
from job.errors import UserError
from job.experiment import cache
from job.experiment.extract import extractor
from job.experiment.recipe import Block, Recipe
from job.kept import Kept
from job.kept import _store as keep_file
from job.vision.sample import sample_picture


def images(*names: str, size: int = 10, root: str = "/data") -> Images:
    columns = {"ima": list(names), "cat": [name.split("/")[1] for name in names], "size": [size] * len(names)}
    return Images("train", root, pa.table(columns))


def recipe(descriptor: str = "rootsift", **more) -> Recipe:
    return Recipe(blocks=(Block(descriptor, "counts", 10),), **more)


ONE = images("Training/A/1.jpg")


def test_the_same_pictures_and_descriptor_have_the_same_place_whatever_is_learned_from_them():
    places = {cache.folder_of(ONE, recipe(**more), "/cache") for more in ({}, {"seed": 5}, {"classifier": "mlp"})}
    places.add(cache.folder_of(ONE, Recipe(blocks=(Block("rootsift", "counts", 99),)), "/cache"))
    (place,) = places
    assert Path(place).parent == Path("/cache")
    assert Path(place).name.startswith("rootsift-")


def test_pictures_of_another_address_have_a_place_of_their_own_and_others_of_the_same_do_not():
    ours, other, elsewhere = ONE, images("Training/A/2.jpg", size=11), images("Training/A/1.jpg", root="/other")
    places = [cache.folder_of(found, recipe(), "/cache") for found in (ours, other, elsewhere)]
    assert places[0] == places[1] != places[2]


@pytest.mark.parametrize("more", [{"max_bytes": 5}, {"mask": False}])
def test_what_decides_which_pictures_are_used_has_a_place_of_its_own(more):
    assert cache.folder_of(ONE, recipe(**more), "/cache") != cache.folder_of(ONE, recipe(), "/cache")


def test_another_descriptor_has_a_place_of_its_own():
    assert len({cache.folder_of(ONE, recipe(name), "/cache") for name in ("sift", "orb")}) == 2


def test_another_version_of_the_library_has_a_place_of_its_own(monkeypatch):
    before = cache.folder_of(ONE, recipe(), "/cache")
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99")
    assert cache.folder_of(ONE, recipe(), "/cache") != before


@pytest.fixture
def pictures(tmp_path: Path) -> Images:
    for number in range(40):
        path = tmp_path / "data" / "Training" / "AB"[number % 2] / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample_picture(number % 2, number))
    return listed(tmp_path)


def listed(tmp_path: Path, categories: tuple[str, ...] = ()) -> Images:
    return dataset.listing("train", str(tmp_path / "data"), "Training", categories)


def described(spark, pictures: Images, place: Path, tasks: int = 2, own: Recipe | None = None, **more):
    """The rows by name, without those of copies, and how many of them came from the cache."""
    own = own or recipe("sift")
    frame, known = cache.described(spark, extractor(own, looks=True, **more), pictures, own, tasks, 2, str(place))
    rows = frame.collect()
    frame.unpersist()
    assert len({(row["ima"], row.asDict().get("copy")) for row in rows}) == len(rows)
    return {row["ima"]: row for row in rows if not row.asDict().get("copy")}, known


def fresh(spark, pictures: Images, tmp_path: Path, **more):
    """The same without any cache to take it from."""
    return described(spark, pictures, tmp_path / "none", **more)[0]


def kept_files(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("tasks", [1, 3])
def test_what_is_kept_is_what_is_described_whatever_the_tasks_that_it_is_read_by(
    spark, pictures: Images, tmp_path: Path, tasks: int
):
    first, none = described(spark, pictures, tmp_path / "my cache é")
    files = kept_files(tmp_path / "my cache é")
    again, all_of_them = described(spark, pictures, tmp_path / "my cache é", tasks)
    assert (none, all_of_them) == (0, 40)
    assert again == first
    assert {row["reason"] for row in first.values()} == {None}
    assert kept_files(tmp_path / "my cache é") == files
    assert len(files) >= 4, "a task writes several files, so that less is lost when it is"


def test_copies_are_kept_with_their_pictures(spark, pictures: Images, tmp_path: Path):
    first, _ = described(spark, pictures, tmp_path / "cache", copies=("mild", "strong"))
    frame, known = cache.described(
        spark, extractor(recipe("sift"), copies=("mild", "strong"), looks=True), pictures, recipe("sift"), 2, 2,
        str(tmp_path / "cache"),
    )  # fmt: skip
    rows = frame.collect()
    assert (known, len(rows)) == (40, 120)
    assert {row["ima"]: row for row in rows if not row["copy"]} == first
    assert described(spark, pictures, tmp_path / "cache")[1] == 0, "without copies they are others"


def test_a_picture_that_was_replaced_by_one_of_its_size_is_never_served_stale(spark, pictures: Images, tmp_path: Path):
    before, _ = described(spark, pictures, tmp_path / "cache")
    name = pictures.table["ima"][3].as_py()
    file = Path(pictures.root) / name
    other = sample_picture(1, 777)
    file.write_bytes(other + b"\0" * (file.stat().st_size - len(other)) if len(other) < file.stat().st_size else other)
    after, known = described(spark, listed(tmp_path), tmp_path / "cache")
    assert known == 39
    assert after[name] != before[name]
    assert {key: row for key, row in after.items() if key != name} == {
        key: row for key, row in before.items() if key != name
    }
    assert after == fresh(spark, listed(tmp_path), tmp_path)


def test_new_pictures_are_added_and_a_part_of_the_pictures_is_served_too(spark, pictures: Images, tmp_path: Path):
    described(spark, listed(tmp_path, ("A",)), tmp_path / "cache")
    both, known = described(spark, pictures, tmp_path / "cache")
    assert known == 20
    assert both == fresh(spark, pictures, tmp_path)
    few = pictures.take(pa.array([1, 5, 30]).to_numpy())
    found, known = described(spark, few, tmp_path / "cache")
    assert known == 3
    assert found == {name: both[name] for name in few.table["ima"].to_pylist()}


def test_categories_are_those_of_the_listing_and_not_of_the_cache(spark, pictures: Images, tmp_path: Path):
    described(spark, pictures, tmp_path / "cache")
    other = pictures.table.set_column(1, "cat", pa.array(["C"] * 40))
    found, known = described(spark, Images("train", pictures.root, other, pictures.versions), tmp_path / "cache")
    assert known == 40
    assert {row["cat"] for row in found.values()} == {"C"}


def test_a_fault_that_may_pass_is_not_kept_and_all_others_are(spark, pictures: Images, tmp_path: Path):
    gone, empty, none = (Path(pictures.root) / pictures.table["ima"][number].as_py() for number in (0, 1, 2))
    content = gone.read_bytes()
    empty.write_bytes(b"")
    none.write_text("<html>404")
    now = listed(tmp_path)
    gone.unlink()
    found, _ = described(spark, now, tmp_path / "cache")
    assert sorted(str(row["reason"]) for row in found.values()) == ["None"] * 37 + [
        "empty", "not_an_image", "unreadable",
    ]  # fmt: skip
    gone.write_bytes(content)
    again, known = described(spark, listed(tmp_path), tmp_path / "cache")
    assert known == 39
    assert sorted(str(row["reason"]) for row in again.values()) == ["None"] * 38 + ["empty", "not_an_image"]


def test_two_runs_that_both_found_nothing_do_not_disturb_each_other(
    spark, pictures: Images, tmp_path: Path, monkeypatch
):
    first, _ = described(spark, pictures, tmp_path / "cache")
    files = kept_files(tmp_path / "cache")
    with monkeypatch.context() as patch:  # it looked before the first one had written anything
        patch.setattr(cache, "parts_of", lambda _, images: pa.nulls(len(images), pa.string()))
        second, known = described(spark, pictures, tmp_path / "cache")
    assert (second, known) == (first, 0)
    assert kept_files(tmp_path / "cache") == files, "the same pictures make the same files, which are left as they are"
    with monkeypatch.context() as patch:
        patch.setattr(cache, "parts_of", lambda _, images: pa.nulls(len(images), pa.string()))
        assert described(spark, pictures, tmp_path / "cache", 5)[0] == first
    assert len(kept_files(tmp_path / "cache")) > len(files)
    assert described(spark, pictures, tmp_path / "cache") == (first, 40), "a picture that is in two files is there once"


def flip(content: bytes) -> bytes:
    """One bit of the descriptors."""
    return content[:900] + bytes([content[900] ^ 4]) + content[901:]


@pytest.mark.parametrize("damage", [flip, lambda content: content[:-200], lambda _: b"", None])
def test_a_damaged_file_of_the_cache_is_described_again_and_replaced(
    spark, pictures: Images, tmp_path: Path, damage, monkeypatch
):
    first, _ = described(spark, pictures, tmp_path / "cache")
    files = kept_files(tmp_path / "cache")
    known = cache.parts_of

    def spoiled(place: str, own: Images):
        """The files are damaged after they were looked at, which is the worst moment."""
        found = known(place, own)
        for path, content in files.items():
            path.unlink() if damage is None else path.write_bytes(damage(content))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(cache, "parts_of", spoiled)
        assert described(spark, pictures, tmp_path / "cache")[0] == first
    assert described(spark, pictures, tmp_path / "cache") == (first, 40)
    for path, content in files.items():
        if path.exists():
            path.write_bytes((damage or flip)(content))
    assert described(spark, pictures, tmp_path / "cache")[0] == first, "and where they were damaged before"


def kept_one(place: Path) -> tuple[Images, Path]:
    """A picture, and the file of a cache that has it."""
    columns = {"ima": ["Training/A/1.jpg"], "size": [10], "version": [0], "reason": [""]}
    keep_file(str(place), pa.table(columns).to_batches())
    (file,) = place.iterdir()
    return ONE, file


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        PermissionError(errno.EACCES, "Permission denied"),
        pa.ArrowMemoryError("malloc of size 64 failed"),
    ],
    ids=repr,
)
def test_a_file_that_can_not_be_read_for_now_stays_and_its_pictures_count_as_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def fail(*_: object) -> None:
        raise error

    pictures, file = kept_one(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "read_columns", fail)
        assert cache.parts_of(str(tmp_path), pictures).to_pylist() == [None]
    assert cache.parts_of(str(tmp_path), pictures).to_pylist() == [file.name]


def test_where_too_many_files_are_open_a_cache_loses_none_of_its_own(tmp_path: Path):
    pictures, file = kept_one(tmp_path)
    cache.parts_of(str(tmp_path), pictures)  # loads what it needs
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        found = cache._keys(str(file), file.stat().st_size)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.num_rows == 0
    assert cache.parts_of(str(tmp_path), pictures).to_pylist() == [file.name]


def test_a_file_that_is_damaged_anywhere_is_removed_or_read_as_it_was(tmp_path: Path):
    pictures, file = kept_one(tmp_path)
    content, removed = file.read_bytes(), 0
    damaged = [content[:end] for end in range(0, len(content), 97)]
    damaged += [content[:at] + bytes([content[at] ^ 0x81]) + content[at + 1 :] for at in range(len(content))]
    for spoiled in damaged:
        file.write_bytes(spoiled)
        found = cache.parts_of(str(tmp_path), pictures).to_pylist()
        assert found in ([None], [file.name])
        if spoiled == content[: len(spoiled)]:
            assert not file.exists()
        removed += not file.exists()
    assert removed > len(damaged) / 3


def test_other_files_in_the_cache_are_left_alone(spark, pictures: Images, tmp_path: Path):
    described(spark, pictures, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    mine = {"notes.txt": b"mine", "mine.parquet": b"PAR1", ".half.tmp": b"x"}
    for name, content in mine.items():
        (place / name).write_bytes(content)
    pq.write_table(pa.table({"other": [1]}), place / "other.parquet")
    assert described(spark, pictures, tmp_path / "cache")[1] == 40
    assert {name: (place / name).read_bytes() for name in mine} == mine


def test_a_cache_that_may_only_be_read_serves_and_is_told_where_it_would_be_written(
    spark, pictures: Images, tmp_path: Path
):
    first, _ = described(spark, pictures, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    # root may write everywhere, but for what can't be changed at all
    on, off = (["chattr", "+i"], ["chattr", "-i"]) if os.getuid() == 0 else (["chmod", "500"], ["chmod", "700"])
    if not shutil.which(on[0]) or subprocess.run([*on, place], capture_output=True, check=False).returncode:
        absent("no way on this machine to make a folder that root can't write")
    try:
        assert described(spark, pictures, tmp_path / "cache") == (first, 40)
        shutil.copy(Path(pictures.root) / pictures.table["ima"][0].as_py(), tmp_path / "data/Training/A/new.jpg")
        with pytest.raises(UserError, match="can't be written"):
            described(spark, listed(tmp_path), tmp_path / "cache")
    finally:
        subprocess.run([*off, place], check=True)


def test_less_than_a_tenth_of_the_work_is_lost_with_the_tasks_that_are_under_way(spark, pictures: Images, tmp_path):
    stage = extractor(recipe("sift"))
    many = Images("train", pictures.root, pa.concat_tables([pictures.table] * 100))
    cache.described(spark, stage, many, recipe("sift"), 8, 4, str(tmp_path / "cache"))
    assert isinstance(stage.kept, Kept)
    assert 4 * stage.kept.pictures <= len(many) / 20
