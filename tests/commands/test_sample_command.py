"""`fruits sample`: what it says, and a folder that it can't write."""

from running import Answer


def test_the_sample_says_how_many_pictures_it_wrote_and_where(answer, tmp_path):
    folder = tmp_path / "fruits"
    first, again = (
        answer("sample", folder, "--categories", 2, "--train-images", 5, "--test-images", 4) for _ in range(2)
    )
    assert first.code == again.code == 0
    assert first.out == f"9 pictures written to {folder}.\n"
    assert again.out == f"All 9 pictures are in {folder} already.\n"
    assert len(list(folder.rglob("*.jpg"))) == 9


def test_a_quiet_sample_says_nothing_also_where_the_environment_asks_for_that(answer, tmp_path, monkeypatch):
    given = ("sample", tmp_path / "fruits", "--categories", 1, "--train-images", 1, "--test-images", 1)
    assert answer(*given, "-q") == Answer(0, "", "")
    monkeypatch.setenv("FRUITS_QUIET", "yes")
    assert answer(*given) == Answer(0, "", "")
    monkeypatch.setenv("FRUITS_QUIET", "perhaps")
    assert "FRUITS_QUIET is 'perhaps': it must be true or false" in answer(*given).sentence()


def test_a_sample_folder_that_can_not_be_written_is_named(answer, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    found = answer("sample", tmp_path / "file" / "x", "--train-images", 3, "--test-images", 3)
    assert found.code == 1
    assert str(tmp_path / "file") in found.sentence()
