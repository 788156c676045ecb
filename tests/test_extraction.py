"""What a worker does with a batch of pictures."""

import pyarrow as pa

from job import extraction
from job.vision.descriptors import DESCRIPTORS
from job.vision.look import look
from job.vision.picture import Picture
from job.vision.sample import sample_picture


def test_each_picture_is_told_how_long_it_was_waited_for():
    batch = pa.RecordBatch.from_pydict({"ima": ["a.jpg", "b.jpg"], "content": [sample_picture(0, 0), b"nothing"]})
    names, waits = ("ima", "descriptors", "keypoints", "reason"), []
    own = extraction.Extraction((DESCRIPTORS.get("sift"),), ("ima",), names, 10**6)
    (found,) = own.describe(batch, waits.append)
    assert len(waits) == 2
    assert all(0.0 <= seconds < 1.0 for seconds in waits)
    assert found["reason"].to_pylist() == [None, "not_an_image"]
    (untold,) = own.describe(batch)
    assert untold == found


def test_copies_are_made_of_the_pictures_that_a_column_names():
    contents = [sample_picture(0, number) for number in range(3)]
    columns = {"ima": ["a.jpg", "b.jpg", "c.jpg"], "content": contents, "copied": [False, True, False]}
    names = ("ima", "descriptors", "keypoints", "reason", "copy")
    own = extraction.Extraction((DESCRIPTORS.get("hsv"),), ("ima",), names, 10**6, copies=("mild",), copied="copied")
    (found,) = own.describe(pa.RecordBatch.from_pydict(columns))
    assert found["ima"].to_pylist() == ["a.jpg", "b.jpg", "b.jpg", "c.jpg"]
    assert found["copy"].to_pylist() == [0, 0, 1, 0]


def test_looks_are_of_originals_that_could_be_described():
    batch = pa.RecordBatch.from_pydict({"ima": ["a.jpg", "b.jpg"], "content": [sample_picture(0, 0), b"nothing"]})
    names = ("ima", "descriptors", "keypoints", "reason", "copy", "look")
    own = extraction.Extraction((DESCRIPTORS.get("hsv"),), ("ima",), names, 10**6, copies=("mild",), looks=True)
    (found,) = own.describe(batch)
    assert found["copy"].to_pylist() == [0, 1, 0]
    first, *others = found["look"].to_pylist()
    picture = Picture.decode(sample_picture(0, 0))
    assert picture.colour is not None  # what the descriptor has decoded
    assert first == look(picture).tobytes()
    assert others == [b"", b""]
