from job.splits import FOLDERS, SPLITS


def test_each_split_has_a_folder_and_each_folder_its_split():
    assert FOLDERS == {"train": "Training", "test": "Test"}
    assert {folder: split for split, folder in FOLDERS.items()} == SPLITS
