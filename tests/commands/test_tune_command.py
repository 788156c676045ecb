"""`fruits tune` from the command line: candidates by name and by grid, what is refused, and the plan without work."""

import sys
from pathlib import Path

import pytest

from job.errors import UsageError
from job.experiment.choices import choices
from job.experiment.tuning import candidates
from job.presets import PRESETS
from job.settings import Settings, resolve


@pytest.fixture(scope="module")
def base() -> Settings:
    return resolve({"seed": "9"}, {}, choices=choices())


def given(text: str, base: Settings) -> list[tuple[str, dict]]:
    return [(one.name, dict(one.given)) for one in candidates.named(text, base)]


# ---- by name


def test_a_candidate_is_a_preset_or_blocks_with_classifier_and_copies_after_slashes(base: Settings):
    assert given("accurate, hsv:root/logistic,sift//off,hsv+lbp/lda/mild+strong,accurate", base) == [
        ("accurate", {"preset": "accurate"}),
        ("hsv:root/logistic", {"features": "hsv:root", "classifier": "logistic"}),
        ("sift//off", {"preset": "sift", "augment": "off"}),
        ("hsv+lbp/lda/mild+strong", {"features": "hsv+lbp", "classifier": "lda", "augment": "mild+strong"}),
    ]


def test_a_candidate_is_the_recipe_that_a_run_with_these_settings_has(base: Settings):
    from job.experiment.recipe import Recipe

    (one,) = candidates.named("soft-hsv+rootsift:vlad:64/lda/off", base)
    flags = {"features": "soft-hsv+rootsift:vlad:64", "classifier": "lda", "augment": "off", "seed": "9"}
    assert one.recipe == Recipe.of(resolve(flags, {}, choices=choices()))


def test_a_candidate_whose_library_is_not_there_keeps_the_way_out(base: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    fast, svm = candidates.named("fast,orb:counts:10/linear-svm", base)
    assert fast.recipe is not None
    assert svm.recipe is None
    assert svm.problem == (
        "--classifier linear-svm needs scikit-learn, which can't be imported: pip install 'fruits-job[svm]'."
    )


def test_the_default_candidates_are_a_dozen_that_can_all_be_made(base: Settings):
    field = candidates.field_of(candidates.named(",".join(candidates.DEFAULTS), base), base)
    assert len(field.candidates) == 12
    assert all(one.recipe for one in field.candidates)
    assert field.candidates[field.default].name == "accurate"
    assert field.candidates[field.hsv].name == "fast"
    assert not field.same


def test_default_and_histogram_are_always_there_and_no_recipe_twice(base: Settings):
    field = candidates.field_of(candidates.named("hsv/logistic/off,fast,lbp/lda/off,lbp:root/lda/off", base), base)
    assert [one.name for one in field.candidates] == ["hsv/logistic/off", "lbp/lda/off", "accurate"]
    assert (field.hsv, field.default) == (0, 2)
    assert field.same == {"fast": "hsv/logistic/off", "lbp:root/lda/off": "lbp/lda/off"}


def test_the_default_is_the_preset_of_a_run():
    assert Settings.__dataclass_fields__["preset"].default == candidates.DEFAULT
    assert candidates.DEFAULT in PRESETS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acurate", "--candidates has 'acurate', and 'acurate' is neither a preset nor a descriptor (did you mean 'ac"),
        ("acurate", "curate'?): choose one of accurate, sift, fast, reference, rootsift, orb, "),
        ("hsv+ptches", "'ptches' is neither a preset nor a descriptor (did you mean 'patches'?)"),
        ("hsv:rot", "there is no encoding 'rot' (did you mean 'root'?): choose one of counts, "),
        ("hsv/logistics", "there is no classifier 'logistics' (did you mean 'logistic'?): choose one of mlp, "),
        ("hsv/lda/milde", "there is no level of augmentation 'milde' (did you mean 'mild'?)"),
        ("hsv/lda/mild:nois", "there is no kind of augmentation 'nois' (did you mean 'noise'?)"),
        ("hsv/lda/mild/more", "--candidates has 'hsv/lda/mild/more': write a preset or blocks"),
        ("/lda", "--candidates has '/lda': write a preset or blocks"),
        (" , ", "--candidates is empty"),
        ("hsv/logistic/mild", "None of the candidates can be made; the first one: --augment mild needs a classifier"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused_with_what_was_likely_meant(text: str, said: str, base: Settings):
    with pytest.raises(UsageError) as refused:
        candidates.field_of(candidates.named(text, base), base)
    assert said in refused.value.message
    assert "\n" not in refused.value.message


# ---- by a grid


@pytest.fixture
def grid(tmp_path: Path, base: Settings):
    def read(text: str) -> list[candidates.Candidate]:
        path = tmp_path / "grid.toml"
        path.write_text(text, encoding="utf-8")
        return candidates.grid(str(path), base)

    return read


def test_every_combination_of_a_grid_is_a_candidate(grid):
    found = grid('features = ["hsv+lbp", "soft-hsv"]\nclassifier = ["lda", "ridge"]\naugment = "off"\nwords = 20\n')
    assert [one.name for one in found] == [
        "hsv+lbp/lda/off words=20",
        "hsv+lbp/ridge/off words=20",
        "soft-hsv/lda/off words=20",
        "soft-hsv/ridge/off words=20",
    ]
    assert all(one.recipe for one in found)
    assert dict(found[1].given) == {"features": "hsv+lbp", "classifier": "ridge", "augment": "off", "words": 20}


def test_tables_are_grids_of_their_own_and_may_have_a_name(grid):
    found = grid(
        'preset = ["fast", "sift"]\n[[candidate]]\nname = "mine"\nfeatures = "hsv"\nkeep-background = true\n'
        '[[candidate]]\nname = "words"\ndescriptor = "rootsift"\nwords = [50, 100]\n'
    )
    assert [one.name for one in found] == [
        "fast",
        "sift",
        "mine",
        "words: rootsift words=50",
        "words: rootsift words=100",
    ]
    assert found[2].recipe.mask is False
    assert [one.recipe.blocks[0].words for one in found[3:]] == [50, 100]


def test_a_combination_that_can_not_be_keeps_its_sentence(grid):
    found = grid('features = "hsv"\nclassifier = ["lda", "logistic"]\naugment = "mild"\n')
    assert [bool(one.recipe) for one in found] == [True, False]
    assert "needs a classifier that weighs pictures" in found[1].problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wrds = [1]", "has the key 'wrds', which is no part of a recipe (did you mean 'words'?): choose one of "),
        ("data = 'x'", "has the key 'data', which is no part of a recipe"),
        ("words = ['many']", "is 'many': it must be a whole number"),
        ("words = []", "'words' in"),
        ("classifier = ['lda', 'ldaa']", "there is no classifier 'ldaa' (did you mean 'lda'?)"),
        ("preset = 'fst'", "there is no preset 'fst' (did you mean 'fast'?)"),
        ("descriptor = 'sitf'", "there is no descriptor 'sitf' (did you mean 'sift'?)"),
        ("features = 'hsv+lpb'", "'lpb' is neither a preset nor a descriptor (did you mean 'lbp'?)"),
        ("candidate = 3", "must be tables: write [[candidate]] above each."),
        ("words = ", "is no valid TOML"),
        ("", "is empty: give settings of `fruits run` values"),
        ("words = [" + ",".join(map(str, range(2, 203))) + "]", "has 201 combinations, more than 200"),
    ],
)  # fmt: skip
def test_a_grid_that_can_not_be_meant_is_refused(text: str, said: str, grid):
    with pytest.raises(UsageError) as refused:
        grid(text)
    assert said in refused.value.message


def test_a_grid_that_is_not_there_is_refused(answer, tmp_path: Path):
    found = answer("tune", "--grid", tmp_path / "none.toml")
    assert found.code == 2
    assert "none.toml' can't be read (No such file or directory)" in found.sentence()


# ---- the command


def test_the_plan_names_candidates_folds_and_rungs_and_does_no_work(answer, sample: Path, tmp_path: Path):
    found = answer("tune", "--data", sample, "--dry-run", "--out", tmp_path / "out", "--folds", 3)
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert sum("operation=candidate " in line for line in lines) == 12
    folds = [line for line in lines if "operation=fold " in line]
    assert len(folds) == 3
    assert all("grouped_by=frames pictures=20" in line for line in folds)
    assert [line for line in lines if "operation=rung " in line] == ["event=step operation=rung split=1 pictures=60"]
    assert not (tmp_path / "out").exists()
    begun = next(line for line in lines if line.startswith("event=start "))
    assert "folds=3" in begun
    assert "learning_curve" not in begun  # which a comparison does not have


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--candidates", "fast", "--grid", "x.toml"), "--candidates is given together with --grid"),
        (("--resume",), "--resume is given without --run-name"),
        (("--trials", "5"), "--trials is given without --grid"),
        (("--group-by", "(s"), "--group-by is '(s', which is no regular expression"),
        (("--folds", "1"), "must be a whole number of 2 or more"),
        (("--budget", "soon"), "must be a time such as 90s, 30m or 2h"),
        (("--words", "100"), "Unknown option '--words', which `fruits run` has and `fruits tune` has not: see"),
        (("--resum",), "Unknown option '--resum' (did you mean '--resume'?)"),
        (("--protocol", "rotate"), "--protocol is 'rotate' (did you mean 'rotation'?): choose one of"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: tuple[str, ...], said: str, answer):
    found = answer("tune", *arguments)
    assert found.code == 2
    assert said in found.sentence()


def test_trials_need_a_grid_without_tables(answer, tmp_path: Path):
    path = tmp_path / "grid.toml"
    for text, said in (("", "has none"), ("[[candidate]]\nfeatures = 'hsv'\n", "has tables [[candidate]]")):
        path.write_text(text, encoding="utf-8")
        found = answer("tune", "--grid", path, "--trials", 5)
        assert found.code == 2
        assert said in found.sentence()


def test_recipes_span_a_space(base: Settings):
    from job.experiment.tuning import sampling

    space = {"features": ["hsv", "orb:counts"], "augment": ["off", "strong"], "words": [5, 50]}
    recipes = sampling.span({**space, "keep_background": [True, False]}, base)
    assert {recipe.mask for recipe in recipes} == {True, False}
    assert {name for recipe in recipes for name in recipe.descriptors} == {"hsv", "orb"}
    assert ("strong",) in {recipe.copies for recipe in recipes}
    assert max(block.words for recipe in recipes for block in recipe.blocks) == 50


def test_settings_of_the_environment_count_and_those_of_recipes_do_not(answer, sample: Path, monkeypatch):
    monkeypatch.setenv("FRUITS_TRAIN_IMAGES", "30")
    monkeypatch.setenv("FRUITS_WORDS", "7")
    found = answer("tune", "--data", sample, "--dry-run", "--folds", 2)
    assert found.code == 0, found.err
    assert "event=step operation=rung split=1 pictures=30" in found.out
    assert "words:7" not in found.out
