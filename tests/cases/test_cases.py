"""Each case that went wrong has a test: the table in README.md names it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
NAMED = re.findall(r"^\| [^|]+ \| `([^`:]+)::(test_\w+)` \|$", TABLE, re.MULTILINE)


def test_the_table_has_all_cases():
    assert len(NAMED) >= 35


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_test_of_each_case_exists(file: str, name: str):
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
