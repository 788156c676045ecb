import hashlib
import itertools
import tracemalloc
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from job import dataset
from job.dataset import Images, check_categories, choose, largest_share, partitions, planned_partitions, shards
from job.errors import UsageError, UserError
from job.experiment.run import listings
from job.settings import Settings

ODD_NAMES = [
    'Training/Pêche, blanche/é à 0, "1".jpg',
    "Training/Apple Red 1/a b+c%20.JPEG",
    "Training/🍎/x.png",
    "Test/Pêche, blanche/1.jpg",
    "Test/Apple Red 1/ü.jpg",
    "Test/🍎/y.Jpg",
]


def images(sizes_by_category: dict[str, list[int]], split: str = "train") -> Images:
    rows = sorted(
        (f"Training/{cat}/{number}_100.jpg", cat, size)
        for cat, sizes in sizes_by_category.items()
        for number, size in enumerate(sizes)
    )
    names, cats, sizes = (list(column) for column in zip(*rows, strict=True))
    return Images(split, "/data", pa.table({"ima": names, "cat": cats, "size": pa.array(sizes, pa.int64())}))


def even(categories: int, each: int, size: int = 4000, split: str = "train") -> Images:
    return images({f"Cat {number:03}": [size] * each for number in range(categories)}, split)


def names(found: Images) -> set[str]:
    return set(found.table["ima"].to_pylist())


@pytest.fixture
def tree(tmp_path: Path):
    """Writes files of one byte; the folder they are in."""

    def write(*paths: str) -> str:
        for path in paths:
            file = tmp_path / "data" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x")
        return str(tmp_path / "data")

    (tmp_path / "data").mkdir()
    return write


def listed(root: str, split: str = "train", categories: Sequence[str] = ()) -> Images:
    return dataset.listing(split, root, dataset.split_folder(split), categories)


def refused(root: str, split: str = "train", categories: Sequence[str] = ()) -> str:
    with pytest.raises(UserError) as caught:
        listed(root, split, categories)
    assert "\n" not in caught.value.message
    return caught.value.message


# ---- listing


def test_the_category_is_the_parent_folder_and_the_name_is_relative_to_the_root(tree):
    root = tree(*ODD_NAMES, "Training/readme.txt", "Training/🍎/notes.txt")
    for split, folder in (("train", "Training"), ("test", "Test")):
        found = listed(root, split)
        expected = sorted(name for name in ODD_NAMES if name.startswith(folder))
        assert found.root == root
        assert found.table["ima"].to_pylist() == expected
        assert found.table["cat"].to_pylist() == [name.split("/")[1] for name in expected]
        assert found.table["size"].to_pylist() == [1, 1, 1]
        assert found.categories() == {"Apple Red 1": 1, "Pêche, blanche": 1, "🍎": 1}
        assert list(found.categories()) == sorted(found.categories())


def test_each_split_may_have_an_address_of_its_own(tree):
    root = tree("a/Lemon/1.jpg", "a/Kiwi/2.jpg", "b/Lemon/3.jpg")
    assert names(dataset.listing("train", f"{root}/a")) == {"Kiwi/2.jpg", "Lemon/1.jpg"}
    found = dataset.listing("test", f"{root}/b")
    assert found.root == f"{root}/b"
    assert found.categories() == {"Lemon": 1}


def test_only_the_categories_asked_for_are_listed_and_each_once(tree):
    root = tree("Training/A/1.jpg", "Training/B/1.jpg", "Training/B C/1.jpg")
    found = listed(root, categories=["B C", "A", "B C"]).table["ima"].to_pylist()
    assert found == ["Training/A/1.jpg", "Training/B C/1.jpg"]


def test_pictures_of_other_categories_are_not_asked_for_their_size(tree, monkeypatch):
    from job.storage import local

    asked = []
    add = local._Names.add

    def noted(self, files, start):
        asked.extend(start + file.name for file in files)
        add(self, files, start)

    monkeypatch.setattr(local._Names, "add", noted)
    found = listed(tree("Training/A/1.jpg", "Training/B/2.jpg", "Training/B/A/3.jpg"), categories=["A"])
    assert sorted(asked) == ["Training/A/1.jpg", "Training/B/A/3.jpg"] == found.table["ima"].to_pylist()


def test_a_category_that_is_not_there_is_named_with_those_that_are(tree):
    with pytest.raises(UsageError):
        listed(tree("Training/A/1.jpg", "Training/B/1.jpg"), categories=["A", "Z"])
    sentence = refused(tree("Training/A/1.jpg", "Training/B/1.jpg"), categories=["A", "Z"])
    assert "'Z'" in sentence
    assert "A, B" in sentence


@pytest.mark.parametrize(("on_disk", "given"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFD", "NFD")])
def test_both_forms_of_an_accent_are_the_same_category(on_disk: str, given: str, tmp_path: Path):
    """Doubtful: `The category 'Pêche' is not in ...: it has Corn, Pêche`."""
    name = unicodedata.normalize(on_disk, "Pêche")
    for category in (name, "Corn"):
        (tmp_path / category).mkdir()
        (tmp_path / category / "1.jpg").touch()
    (picture,) = dataset.listing("train", str(tmp_path), "", [unicodedata.normalize(given, "Pêche")]).table.to_pylist()
    assert picture["cat"] == unicodedata.normalize("NFC", "Pêche")
    assert (tmp_path / picture["ima"]).exists(), "the picture is still found by its own name"


def test_a_category_in_both_forms_is_one(tmp_path: Path):
    for split, form in (("Training", "NFC"), ("Test", "NFD")):
        folder = tmp_path / split / unicodedata.normalize(form, "Pêche")
        folder.mkdir(parents=True)
        (folder / "1.jpg").touch()
    train, test = (
        dataset.listing(split, str(tmp_path), folder) for split, folder in (("train", "Training"), ("test", "Test"))
    )
    assert train.categories() == test.categories() == {unicodedata.normalize("NFC", "Pêche"): 1}


@pytest.mark.parametrize("above", ["fruits-360", "fruits-360_dataset/fruits-360"])
def test_a_data_set_is_found_in_the_folders_that_its_archive_made(above: str, tree):
    root = tree(f"{above}/Training/A/1.jpg", f"{above}/Test/A/2.jpg", f"{above}/Validation/A/3.jpg", f"{above}/LICENSE")
    found = dataset.listing("test", root, "Test")
    assert (found.root, names(found)) == (f"{root}/{above}", {"Test/A/2.jpg"})


def test_of_several_data_sets_in_a_folder_none_is_chosen(tree):
    root = tree("100/Training/A/1.jpg", "50/Training/A/1.jpg")
    with pytest.raises(UserError, match=r"holds several data sets, '.*' and '.*' among them: name one"):
        dataset.listing("train", root, "Training")


def test_folders_of_many_categories_are_not_looked_through(tree):
    root = tree(*(f"{number}/Training/A/1.jpg" for number in range(21)))
    with pytest.raises(UserError, match="has no folder 'Training/'"):
        dataset.listing("train", root, "Training")


def test_a_folder_of_categories_is_split_off_without_a_rest(tree):
    root = tree(*(f"{cat}/{number}.jpg" for cat in "AB" for number in range(10)))
    train, test = (dataset.split_off(dataset.listing(split, root), 0.2) for split in ("train", "test"))
    assert not names(train) & names(test)
    assert names(train) | names(test) == names(dataset.listing("train", root))
    assert test.categories() == {"A": 2, "B": 2}


def test_a_picture_that_comes_while_pictures_are_listed_changes_no_split(tree):
    root = tree(*(f"A/{number}_100.jpg" for number in range(100)))
    coming = listings(Settings(test_fraction=0.2), root)
    train = next(coming)
    tree("A/100_100.jpg")
    test = next(coming)
    assert not names(train) & names(test)
    assert len(names(train) | names(test)) == 100


def test_no_part_is_kept_back_of_pictures_that_have_their_own_test_pictures(tree):
    root = tree("Training/A/1.jpg", "Test/A/2.jpg")
    with pytest.raises(UsageError, match="has Training/ and Test/ of its own: leave it out, or name one of the two"):
        next(listings(Settings(test_fraction=0.2), root))
    assert names(next(listings(Settings(test_fraction=0.2), f"{root}/Training")))


def test_a_near_miss_of_a_category_is_told(tree):
    with pytest.raises(UserError, match=r"is not in '.*' \(did you mean 'Kiwi'\?\)"):
        dataset.listing("train", tree("Training/Kiwi/1.jpg", "Training/Corn/1.jpg"), "Training", ["kiwi"])


def test_a_category_is_the_parent_folder_whatever_lies_above_it(tree):
    root = tree("Training/red/Apple/1.jpg", "Training/red/Cherry/2.jpg", "Training/yellow/Lemon/3.jpg")
    assert list(listed(root).categories()) == ["Apple", "Cherry", "Lemon"]
    assert names(listed(root, categories=["Apple", "Lemon"])) == {
        "Training/red/Apple/1.jpg",
        "Training/yellow/Lemon/3.jpg",
    }
    sentence = refused(root, categories=["red"])
    assert "'red'" in sentence
    assert "it has Apple, Cherry, Lemon" in sentence


def test_pictures_of_a_category_that_lie_in_folders_below_it_are_of_those_categories(tree):
    root = tree("Training/Apple/1.jpg", "Training/Apple/old/2.jpg", "Training/Pear/3.jpg")
    assert names(listed(root, categories=["Apple"])) == {"Training/Apple/1.jpg"}
    assert names(listed(root, categories=["old"])) == {"Training/Apple/old/2.jpg"}


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path):
    assert str(tmp_path / "none") in refused(str(tmp_path / "none"))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_folder_without_training_or_test_is_told_what_is_expected(split, tree):
    sentence = refused(tree("Other/A/1.jpg"), split)
    assert f"'{dataset.split_folder(split)}/'" in sentence
    assert "--train" in sentence


def test_a_folder_without_pictures_is_named(tree):
    root = tree("Training/A/1.txt")
    assert f"'{root}/Training'" in refused(root)


def test_where_pictures_may_lie_in_no_category_theirs_is_empty(tree):
    found = dataset.listing("all", tree("A/1.jpg", "A/deep/2.jpg", "stray.jpg"), loose=True)
    rows = [(row["ima"], row["cat"]) for row in found.table.to_pylist()]
    assert rows == [("A/1.jpg", "A"), ("A/deep/2.jpg", "deep"), ("stray.jpg", "")]


def test_a_picture_outside_of_a_category_is_named(tree):
    assert "'Training/stray.jpg'" in refused(tree("Training/A/1.jpg", "Training/stray.jpg"))


def test_the_digest_changes_with_names_and_sizes_and_nothing_else():
    digests = {
        images(content).digest()
        for content in (
            {"A": [1, 2], "B": [3]},
            {"B": [3], "A": [1, 2]},
            {"A": [1, 2], "B": [4]},
            {"A": [1, 2], "C": [3]},
        )
    }
    assert len(digests) == 3


@pytest.mark.parametrize("rows_at_once", [1, 7, 1 << 16])
def test_the_digest_is_that_of_a_line_for_each_picture(rows_at_once, monkeypatch):
    monkeypatch.setattr(dataset, "_ROWS_AT_ONCE", rows_at_once)
    whole = images({"Pêche 🍑": [0, 1, 2**40], "A": list(range(50))})
    for part in (whole, Images("train", "/data", whole.table.slice(3, 20)), whole.take(np.empty(0, np.int64))):
        state = hashlib.sha256()
        for row in part.table.to_pylist():
            state.update(f"{row['ima']}\0{row['size']}\n".encode())
        assert part.digest() == state.hexdigest()


def test_pictures_are_taken_by_their_row_numbers():
    whole = images({"A": [1, 2], "B": [3, 4]}, split="test")
    found = whole.take(np.array([1, 2]))
    assert found.table.to_pylist() == whole.table.to_pylist()[1:3]
    assert (found.split, found.root) == ("test", "/data")


def test_only_train_and_test_have_folders_of_their_own():
    assert [dataset.split_folder(split) for split in ("train", "test")] == ["Training", "Test"]
    with pytest.raises(ValueError, match="The split 'rotated' has no folder"):
        dataset.split_folder("rotated")


# ---- what can be classified


def test_one_category_can_not_be_classified_but_described():
    with pytest.raises(UserError, match=r"'A'.*--no-classify"):
        check_categories(images({"A": [1]}), images({"A": [1]}), classify=True)
    check_categories(images({"A": [1]}), images({"A": [1]}), classify=False)


def test_a_category_without_training_pictures_is_named():
    with pytest.raises(UserError, match=r"'C'.*no training pictures"):
        check_categories(images({"A": [1], "B": [1]}), images({"A": [1], "C": [1]}), classify=True)


def test_a_category_without_test_pictures_is_no_fault():
    check_categories(images({"A": [1], "B": [1]}), images({"A": [1]}), classify=True)


# ---- a part of the pictures


@pytest.mark.parametrize("wanted", [1, 2, 3, 5, 30, 31, 32, 299])
def test_a_choice_is_spread_evenly_over_the_categories(wanted):
    found = choose(even(3, 100, split="test"), wanted)
    counts = [found.categories().get(f"Cat {number:03}", 0) for number in range(3)]
    assert sum(counts) == wanted
    assert max(counts) - min(counts) <= 1


def test_small_categories_give_all_they_have_and_the_others_share_the_rest():
    whole = images({"A": [1], "B": [1] * 10, "C": [1] * 10, "D": [1] * 4}, "test")
    for wanted in range(1, 25):
        counts = choose(whole, wanted).categories()
        assert sum(counts.values()) == wanted
        shares = [counts.get(cat, 0) for cat in "ABCD"]
        full = [1, 10, 10, 4]
        spare = [share for share, most in zip(shares, full, strict=True) if share < most]
        # whoever has more to give is within one of the largest share
        assert all(max(shares) - share <= 1 for share in spare), shares


def test_a_smaller_choice_is_part_of_a_larger_one():
    whole = images({"A": [1] * 2, "B": [1] * 40, "C": [1] * 7, "D": [1] * 30}, "test")
    chosen = [names(choose(whole, wanted)) for wanted in range(1, 80)]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(chosen))


def test_no_category_is_left_without_a_training_picture():
    with pytest.raises(UserError, match=r"--train-images 2 .* 3 categories"):
        choose(even(3, 100), 2)
    with pytest.raises(UserError, match=r"--shots 2 .* 3 categories"):
        choose(even(3, 100), 2, option="--shots")
    assert choose(even(3, 100), 3).categories() == {"Cat 000": 1, "Cat 001": 1, "Cat 002": 1}


def test_the_choice_is_the_same_every_time_and_by_the_hash_of_the_name():
    found = choose(even(1, 200), 20)
    by_hash = sorted(
        even(1, 200).table["ima"].to_pylist(), key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest()
    )
    assert names(found) == set(by_hash[:20])
    assert found.table["ima"].to_pylist() == sorted(by_hash[:20])


def test_pictures_that_are_added_leave_the_choice_of_other_categories_alone():
    before, after = images({"A": [1] * 50, "B": [1] * 50}), images({"A": [1] * 50, "B": [1] * 80})
    chosen = [{name for name in names(choose(whole, 20)) if "/A/" in name} for whole in (before, after)]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("wanted", [None, 300, 301, 10**12])
def test_all_are_taken_when_there_are_no_more(wanted):
    assert names(choose(even(3, 100), wanted)) == names(even(3, 100))


# ---- memory


def test_the_first_of_each_category_are_so_many_at_most_and_part_of_more():
    whole = images({"A": [1] * 30, "B": [1] * 4})
    few, more = dataset.first_of_each(whole, 6), dataset.first_of_each(whole, 12)
    assert whole.take(np.flatnonzero(few)).categories() == {"A": 6, "B": 4}
    assert whole.take(np.flatnonzero(more)).categories() == {"A": 12, "B": 4}
    assert not (few & ~more).any()
    assert names(whole.take(np.flatnonzero(few))) == names(choose(whole, 10))


@pytest.mark.parametrize(
    ("work", "most"),
    [
        (lambda whole: choose(whole, 200_000), 60),
        (lambda whole: shards(whole, 64, 123, 4), 40),
        (Images.digest, 20),
    ],
    ids=["choose", "shards", "digest"],
)
def test_no_list_of_all_names_is_made(work, most):
    count = 400_000
    table = pa.table(
        {
            "ima": pa.array(f"Training/Category {number % 50:02}/{number:07}_100.jpg" for number in range(count)),
            "cat": pa.array(f"Category {number % 50:02}" for number in range(count)),
            "size": pa.array([4_000] * count, pa.int64()),
        }
    )
    whole = Images("train", "/data", table)
    tracemalloc.start()
    work(whole)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < most * count, peak / count  # bytes a picture; a name alone is a string of 90


# ---- partitions


@pytest.mark.parametrize(
    ("pictures", "cores", "least", "expected"),
    [
        (5, 4, 1, 4),
        (5, 16, 1, 5),
        (5, 4, 18, 5),
        (1, 4, 1, 1),
        (876, 4, 1, 4),
        (876, 8, 18, 24),
        (876, 1, 3, 6),
        (876, 1, 17, 17),
        (876, 16, 1, 16),
        (20_000, 4, 1, 64),
        (20_000, 64, 1, 64),
        (20_000, 48, 1, 144),
        (7_000, 4, 1, 32),
        (5_000, 4, 1, 32),
        (4_000, 4, 1, 28),
        (10_000_000, 4, 1, 10_000),
        (10_000_000, 1000, 1, 10_000),
        (10_000_000, 4, 20_000, 20_000),
    ],
)
def test_partitions_follow_pictures_cores_and_the_least_asked_for(pictures, cores, least, expected):
    assert partitions(pictures, pictures * 5500, cores, least) == expected


def test_partitions_are_never_more_than_pictures_nor_less_than_one_nor_less_than_the_cores():
    for pictures, size, cores, least in itertools.product(
        (1, 5, 876, 20_000), (0, 100, 5500, 4_000_000), (1, 3, 16), (1, 18)
    ):
        count = partitions(pictures, pictures * size, cores, least)
        assert min(pictures, max(cores, least)) <= count <= pictures


def test_large_pictures_make_more_partitions_than_small_ones():
    assert partitions(876, 876 * 4_000_000, 4) > 100 * partitions(876, 876 * 5500, 4)


# ---- shards


@pytest.mark.parametrize("count", [1, 2, 3, 17, 64])
def test_every_picture_is_in_one_shard_and_in_one_only(count):
    whole = even(10, 100)
    found = shards(whole, count, seed=123)
    assert len(found) == count
    assert Counter(name for part in found for name in part["ima"].to_pylist()) == Counter(names(whole))
    rows = {(row["ima"], row["cat"], row["size"]) for part in found for row in part.to_pylist()}
    assert rows == {(row["ima"], row["cat"], row["size"]) for row in whole.table.to_pylist()}


def test_shards_are_balanced_by_bytes():
    random = np.random.default_rng(1)
    sizes = {f"C{number}": np.rint(random.lognormal(9, 1.2, 2000)).astype(int).tolist() for number in range(10)}
    for count in (4, 16, 64):
        loads = np.array([sum(part["size"].to_pylist()) for part in shards(images(sizes), count, seed=123)])
        assert loads.max() < 1.15 * loads.mean()
        assert loads.min() > 0.85 * loads.mean()


@pytest.mark.parametrize(("count", "cores"), [(32, 4), (20, 4), (23, 4), (5, 1)])
def test_the_last_four_shards_of_a_core_are_ever_smaller_where_it_has_more(count, cores):
    whole = images({f"C{number}": [5000] * 3000 for number in range(10)})
    found = shards(whole, count, seed=123, cores=cores)
    assert Counter(name for part in found for name in part["ima"].to_pylist()) == Counter(names(whole))
    sizes = np.array([part.num_rows for part in found])
    weights = np.concatenate([np.ones(count - 4 * cores), np.repeat([0.75, 0.5, 0.25, 0.125], cores)])
    np.testing.assert_allclose(sizes, len(whole) * weights / weights.sum(), rtol=0.02)
    assert sizes.max() < 1.95 * sizes.mean()


@pytest.mark.parametrize(("count", "cores"), [(19, 4), (16, 4), (4, 4), (4, 1)])
def test_few_shards_a_core_are_equal(count, cores):
    whole = images({f"C{number}": [5000] * 3000 for number in range(10)})
    sizes = np.array([part.num_rows for part in shards(whole, count, seed=123, cores=cores)])
    np.testing.assert_allclose(sizes, len(whole) / count, rtol=0.02)


def test_partitions_that_are_asked_for_are_taken_whatever_the_cores():
    whole = images({"A": [5000] * 20})
    assert [planned_partitions(whole, 8, exactly=count) for count in (5, 30)] == [5, 20]
    assert planned_partitions(whole, 8) == 8
    assert planned_partitions(whole, 2, least=7) == 8


def test_each_shard_has_some_of_every_category():
    for part in shards(even(5, 200), 8, seed=123):
        assert len(set(part["cat"].to_pylist())) == 5


def test_shards_are_the_same_every_time_and_others_with_another_seed():
    once, again, other = (shards(even(3, 50), 4, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other


@pytest.mark.parametrize("count", [2, 5, 10])
def test_one_giant_among_dwarfs_loses_nothing(count):
    whole = images({"A": [10**9, *[100] * 9]})
    found = shards(whole, count, seed=123)
    assert all(part.num_rows for part in found)
    assert sorted(name for part in found for name in part["ima"].to_pylist()) == sorted(names(whole))


def test_empty_files_are_in_a_shard_as_well():
    assert sum(part.num_rows for part in shards(images({"A": [0] * 9}), 3, seed=1)) == 9


@pytest.mark.parametrize(("count", "cores"), [(32, 4), (20, 4), (19, 4), (5, 1), (3, 4), (3, None)])
@pytest.mark.parametrize("sizes", [[5000] * 400, [10**6, *[3000] * 300], list(range(1, 100)), [7] * 40])
def test_no_shard_has_more_than_the_largest_share(count, cores, sizes):
    whole = images({"A": sizes})
    most = largest_share(whole, count, cores)
    cost = (sum(sizes) + 1024 * len(sizes)) / count
    for seed in range(10):
        found = [sum(part["size"].to_pylist()) + 1024 * part.num_rows for part in shards(whole, count, seed, cores)]
        assert max(found) <= most * cost * (1 + 1e-9)
    mean_weight = 1.0 if cores is None or count < 5 * cores else (count - 4 * cores + 1.625 * cores) / count
    assert most <= 1 / mean_weight + (max(sizes) + 1024) / cost + 1e-9
