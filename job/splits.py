"""The two folders of a data set in the form of Fruits-360, and the split that each of them is."""

FOLDERS = {"train": "Training", "test": "Test"}
"""Name of a split -> name of its folder directly below the address of the data."""

SPLITS = {folder: split for split, folder in FOLDERS.items()}
"""Name of such a folder -> name of its split."""
