import pyarrow as pa
import pytest

from job.storage.names import is_hidden, is_picture, is_sorted, pictures


@pytest.mark.parametrize(
    "name", ["a.jpg", "A.JPEG", "b.Png", "jpg.jpg", "🍎.png", "a.jpe", "a.JFIF", "a.WebP", "a.tif"]
)
def test_pictures_are_known_by_the_ends_of_their_names_in_any_case(name: str):
    assert is_picture(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a.jpg.txt", ".jpg", "._a.jpg", ".a.png", "a.svg", "ajpg"])
def test_other_files_and_hidden_ones_are_no_pictures(name: str):
    assert not is_picture(name)


def test_names_that_begin_with_a_dot_are_hidden():
    assert [name for name in (".git", "a.b", "._a", "a") if is_hidden(name)] == [".git", "._a"]


@pytest.mark.parametrize("start", ["", "Training", "a+b (c)/é", ".cache/x"])
def test_a_table_keeps_what_is_neither_hidden_nor_in_a_hidden_folder(start: str):
    kept = ["a.jpg", "A/b.PNG", "A/c.d/e.jpeg", "line\nbreak/.../x.jpg".replace("...", "x...")]
    others = [".a.jpg", "A/._b.jpg", ".ipynb_checkpoints/a.jpg", "A/.x/B/c.jpg", "A/b.txt", "line\nbreak/.y/a.jpg"]
    names = [f"{start}/{name}" if start else name for name in [*kept, *others]]
    found = pictures(pa.table({"name": names, "size": list(range(len(names)))}), start)
    assert found.to_pydict() == {"name": names[: len(kept)], "size": list(range(len(kept)))}


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], True),
        ([[]], True),
        ([["b"], [], ["c", "c/d"], ["é", "🍎"]], True),
        ([["A b/1", "A/1"]], True),
        ([["A/1", "A b/1"]], False),
        ([["b", "c"], [], ["a"]], False),
        ([["a"], ["b", "d", "c"]], False),
    ],
)
def test_names_are_sorted_by_their_bytes_across_chunks(chunks: list[list[str]], expected: bool):
    names = pa.chunked_array(chunks, pa.string())
    assert is_sorted(names) == expected == (names.to_pylist() == sorted(names.to_pylist(), key=str.encode))
