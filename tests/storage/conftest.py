from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """200 pictures of 20 kB in six folders, and some that can't be used."""
    for number in range(200):
        file = tmp_path / "tree" / ["Training", "Test"][number % 2] / f"Fruit é {number % 3}" / f"{number:03d}, +%.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"{number}".encode() * 8_000)
    (tmp_path / "tree" / "Test" / "Fruit é 0" / "empty.png").touch()
    (tmp_path / "tree" / "Test" / "Fruit é 0" / "gone.png").symlink_to("nothing")
    return tmp_path / "tree"
