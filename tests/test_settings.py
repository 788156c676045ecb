import json
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from job.errors import UsageError
from job.experiment.choices import choices
from job.experiment.recipe import Recipe
from job.given import flag_name
from job.learn.classifiers import CLASSIFIERS
from job.presets import PRESETS
from job.settings import Settings
from job.settings import resolve as resolve_among
from job.vision.descriptors import DESCRIPTORS


def resolve(flags: dict[str, Any], environment: dict[str, str] | None = None) -> Settings:
    return resolve_among(flags, environment, choices=choices())


def refused(flags=None, environment=None) -> str:
    """The sentence with which these are refused."""
    with pytest.raises(UsageError) as caught:
        resolve(flags or {}, environment or {})
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")
    return caught.value.message


# ---- where a value comes from


def test_without_anything_given_it_is_the_best_preset():
    settings = resolve({}, {})
    assert (settings.preset, settings.features, settings.words, settings.classifier, settings.augment) == (
        "accurate",
        "soft-hsv+lbp+patches",
        512,
        "rda",
        "mild+strong+strong",
    )
    assert (settings.descriptor, settings.components) == (None, 0)
    assert (settings.out, settings.seed, settings.min_partitions, settings.no_classify) == ("out", 123, 1, False)


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_preset_which_beats_the_default(
    toml,
):
    layers = [
        ({"words": "11"}, {"FRUITS_WORDS": "12"}, "words = 13\n"),
        ({}, {"FRUITS_WORDS": "12"}, "words = 13\n"),
        ({}, {}, "words = 13\n"),
        ({}, {}, ""),
    ]
    found = [
        resolve({"preset": "sift", "config": toml(content), **flags}, environment).words
        for flags, environment, content in layers
    ]
    assert found == [11, 12, 13, PRESETS.get("sift").values["words"]]
    assert [
        resolve(flags, environment).seed
        for flags, environment in (({"seed": "1"}, {"FRUITS_SEED": "2"}), ({}, {"FRUITS_SEED": "2"}), ({}, {}))
    ] == [1, 2, 123]


def test_a_preset_named_by_the_environment_or_the_file_counts_as_well(toml):
    assert resolve({}, {"FRUITS_PRESET": "reference"}).classifier == "mlp"
    assert resolve({"config": toml('preset = "reference"')}, {}).descriptor == "sift"
    assert resolve({"preset": "fast", "config": toml('preset = "reference"')}, {}).features == "hsv"


def test_a_flag_that_is_not_given_hides_nothing():
    assert resolve({"words": None, "no_classify": None}, {"FRUITS_WORDS": "40", "FRUITS_NO_CLASSIFY": "1"}) == resolve(
        {"words": "40", "no_classify": "true"}, {}
    )


def test_a_value_that_a_stronger_one_hides_is_not_looked_at():
    assert resolve({"words": "30"}, {"FRUITS_WORDS": "many"}).words == 30


@pytest.mark.parametrize("empty", ["", " "])
@pytest.mark.parametrize("name", ["cache", "words", "data", "preset", "no_classify", "master", "conf"])
def test_an_empty_variable_is_one_that_was_not_set(name: str, empty: str):
    """Doubtful: `FRUITS_CACHE=` was refused, as compose files and charts leave it."""
    assert resolve({}, {f"FRUITS_{name.upper()}": empty}) == resolve({}, {})


@pytest.mark.parametrize(
    ("flags", "meant"),
    [
        ({"descriptor": "rootsfit"}, "rootsift"),
        ({"preset": "Accurate"}, "accurate"),
        ({"classifier": "logistik"}, "logistic"),
    ],
)
def test_a_near_miss_is_told(flags: dict[str, str], meant: str):
    assert f"(did you mean '{meant}'?): choose one of " in refused(flags)


def test_a_near_miss_of_a_key_in_the_file_is_told(toml):
    assert "unknown key 'wrods' (did you mean 'words'?): see" in refused({"config": toml("wrods = 3")})


def test_a_part_kept_back_is_of_one_folder():
    assert resolve({"data": "x", "test_fraction": "0.2"}, {}).test_fraction == 0.2
    assert "--test-fraction is given without --data" in refused({"test_fraction": "0.2"})
    assert "--labels is given without --test-fraction" in refused({"data": "x", "labels": "l.csv"})


def test_the_file_may_be_named_by_the_environment(toml):
    assert resolve({}, {"FRUITS_CONFIG": toml("seed = 7")}).seed == 7


def test_every_setting_can_come_from_each_place(toml):
    texts = {
        "data": "d",
        "train": "a",
        "test": "b",
        "out": "o",
        "categories": "A,B",
        "train_images": "30",
        "test_fraction": "0.25",
        "labels": "l.csv",
        "test_images": "20",
        "preset": "fast",
        "descriptor": "surf",
        "words": "30",
        "components": "3",
        "features": "orb+sift:counts:20",
        "augment": "off",
        "augment_images": "7",
        "keep_background": "true",
        "vocabulary_sample": "1000",
        "classifier": "mlp",
        "protocol": "standard",
        "learning_curve": "true",
        "no_classify": "true",
        "export_intermediate": "yes",
        "min_partitions": "4",
        "partitions": "5",
        "seed": "9",
        "max_bad_fraction": "0.25",
        "cache": "c",
        "event_log": "e",
        "run_name": "r",
        "public_read": "on",
        "master": "local[2]",
        "conf": "spark.a=1",
        "wait_for_data": "5",
        "dry_run": "1",
        "debug": "TRUE",
    }
    assert set(texts) == {spec.name for spec in fields(Settings)}
    for name, text in texts.items():
        others = {
            "train": {"test": "y"},
            "test": {"train": "x"},
            "test_fraction": {"data": "x"},
            "labels": {"data": "x", "test_fraction": "0.2"},
            "wait_for_data": {"data": "x"},
        }.get(name, {})
        by_flag = resolve({**others, name: text}, {})
        by_environment = resolve(others, {f"FRUITS_{name.upper()}": text})
        by_file = resolve({**others, "config": toml(f"{name.replace('_', '-')} = {json.dumps(text)}")}, {})
        assert by_flag == by_environment == by_file, name
        assert str(getattr(by_flag, name)) != str(next(f.default for f in fields(Settings) if f.name == name)) or (
            name == "protocol"
        ), name


def test_each_setting_knows_where_it_is_from(toml):
    settings = resolve(
        {"words": "60", "config": toml('words = 13\nseed = 7\ncache = "c"')},
        {"FRUITS_SEED": "8", "FRUITS_WORDS": "14", "FRUITS_OUT": "o"},
    )
    found = settings.came_from()
    assert set(found) == {spec.name for spec in fields(Settings)}
    assert {name: found[name] for name in ("words", "seed", "out", "cache", "classifier", "master")} == {
        "words": "flag",
        "seed": "environment",
        "out": "environment",
        "cache": "file",
        "classifier": "preset",
        "master": "default",
    }


def test_what_a_stronger_place_hides_is_not_said_to_be_from_there(toml):
    found = resolve({"descriptor": "orb", "config": toml('features = "hsv"')}, {}).came_from()
    assert (found["descriptor"], found["features"]) == ("flag", "preset")


def test_where_settings_are_from_makes_no_two_of_them_differ(toml):
    one, other = resolve({"seed": "7"}, {}), resolve({}, {"FRUITS_SEED": "7"})
    assert one == other
    assert (one.came_from()["seed"], other.came_from()["seed"]) == ("flag", "environment")
    assert "hush" not in str(resolve({"conf": ["spark.password=hush"]}, {}).came_from())


def test_booleans_of_the_environment_have_their_usual_words():
    for text in ("1", "true", "True", "YES", "on"):
        assert resolve({}, {"FRUITS_NO_CLASSIFY": text}).no_classify is True
    for text in ("0", "false", "no", "OFF", ""):
        assert resolve({}, {"FRUITS_NO_CLASSIFY": text}).no_classify is False


def test_names_are_separated_by_commas_and_may_hold_spaces_and_accents():
    expected = ("Apple Red 1", "Pêche", "Kiwi")
    assert resolve({"categories": " Apple Red 1, Pêche ,Kiwi,"}, {}).categories == expected
    assert resolve({}, {"FRUITS_CATEGORIES": "Apple Red 1,Pêche,Kiwi"}).categories == expected


def test_a_file_has_numbers_booleans_and_lists_of_its_own(toml):
    found = resolve(
        {
            "config": toml("""
        words = 40
        max-bad-fraction = 0.1
        no_classify = true
        export-intermediate = false
        categories = ["Apple Red 1", "Pêche, blanche"]
        conf = ["spark.a=1,2", "spark.b=x=y"]
    """)
        },
        {},
    )
    assert (found.words, found.max_bad_fraction, found.no_classify, found.export_intermediate) == (40, 0.1, True, False)
    assert found.categories == ("Apple Red 1", "Pêche, blanche")
    assert found.spark_conf() == {"spark.a": "1,2", "spark.b": "x=y"}


def test_spark_settings_may_be_repeated_and_the_last_of_a_key_wins():
    found = resolve({"conf": ["spark.a=1", "spark.b=2,3", "spark.a=4"]}, {})
    assert found.spark_conf() == {"spark.a": "4", "spark.b": "2,3"}
    assert resolve({}, {"FRUITS_CONF": "spark.a=1\nspark.b=2,3"}).spark_conf() == {"spark.a": "1", "spark.b": "2,3"}


def test_components_are_seven_tenths_of_the_words_as_the_prototype_rounds_them():
    assert (
        [resolve({"preset": "sift", "words": str(words)}, {}).components for words in (2, 3, 30, 50, 500)]
        == [max(1, int(words - 0.3 * words)) for words in (2, 3, 30, 50, 500)]
        == [1, 2, 21, 35, 350]
    )


def test_the_reference_is_the_prototype():
    found = resolve({"preset": "reference"}, {})
    assert (found.descriptor, found.words, found.components, found.vocabulary_sample, found.classifier, found.seed) == (
        "sift",
        50,
        35,
        "all",
        "mlp",
        123,
    )


SIFT = PRESETS.get("sift").values


@pytest.mark.parametrize("place", ["flag", "environment", "file"])
@pytest.mark.parametrize("preset", ["accurate", "fast"])
def test_one_descriptor_takes_the_place_of_a_presets_blocks_and_the_rest_is_as_in_sift(preset, place, toml):
    given = {
        "flag": ({"descriptor": "orb"}, {}),
        "environment": ({}, {"FRUITS_DESCRIPTOR": "orb"}),
        "file": ({"config": toml('descriptor = "orb"')}, {}),
    }[place]
    found = resolve({"preset": preset, **given[0]}, given[1])
    assert (found.descriptor, found.features, found.augment) == ("orb", None, None)
    assert (found.words, found.classifier, found.components) == (SIFT["words"], SIFT["classifier"], 350)


def test_what_is_given_beside_a_descriptor_is_kept():
    found = resolve({"descriptor": "orb", "words": "40", "classifier": "lda", "augment": "mild"}, {})
    assert (found.words, found.classifier, found.augment, found.components) == (40, "lda", "mild", 28)


def test_a_descriptor_in_place_of_a_presets_own_keeps_the_rest_of_the_preset():
    found = resolve({"preset": "reference", "descriptor": "orb"}, {})
    assert (found.descriptor, found.words, found.classifier, found.vocabulary_sample) == ("orb", 50, "mlp", "all")


def test_blocks_win_over_a_descriptor_given_beside_them_and_either_over_the_other_of_a_weaker_place(toml):
    path = toml('features = "hsv"')
    assert resolve({"features": "hsv", "descriptor": "orb"}, {}).features == "hsv"
    assert resolve({"descriptor": "orb", "config": path}, {}).features is None
    assert resolve({"config": path}, {"FRUITS_DESCRIPTOR": "orb"}).descriptor == "orb"
    found = resolve({"features": "hsv"}, {"FRUITS_DESCRIPTOR": "orb"})
    assert (found.features, found.descriptor) == ("hsv", None)


def test_words_are_those_of_the_presets_patches():
    found = resolve({"words": "40"}, {})
    assert list(map(str, Recipe.of(found).blocks)) == ["soft-hsv:fourth-root", "lbp:root", "patches:patches:40"]


@pytest.mark.parametrize("classifier", sorted(CLASSIFIERS))
def test_a_presets_copies_are_left_out_where_another_classifier_can_not_weigh_them(classifier):
    weighs = CLASSIFIERS.get(classifier).from_moments is not None
    found = resolve({"classifier": classifier}, {})
    assert found.augment == ("mild+strong+strong" if weighs else "off")
    assert Recipe.of(found).copies == (("mild", "strong", "strong") if weighs else ())


def test_copies_that_were_asked_for_are_not_left_out_in_silence():
    found = resolve({"classifier": "mlp", "augment": "mild"}, {})
    assert found.augment == "mild"
    with pytest.raises(UsageError, match="--augment mild needs a classifier that weighs pictures, which mlp does not"):
        Recipe.of(found)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_settings_of_a_preset_make_a_recipe_and_the_same_settings_again(preset, toml):
    found = resolve({"preset": preset}, {})
    assert Recipe.of(found).blocks
    kept = {name: value for name, value in found.public().items() if value not in (None, [], False)}
    again = toml("\n".join(f"{name} = {json.dumps(value)}" for name, value in kept.items()))
    assert resolve({"config": again}, {}) == found


def test_the_descriptors_are_those_of_the_registry_but_for_those_that_an_encoding_takes_by_itself():
    assert set(choices()["descriptor"]) == {name for name in DESCRIPTORS if not DESCRIPTORS.get(name).places}


# ---- why a value is refused

BAD = [
    ("words", "0", "a whole number of 2 or more"),
    ("words", "-5", "a whole number of 2 or more"),
    ("words", "1", "a whole number of 2 or more"),
    ("words", "3.5", "a whole number of 2 or more"),
    ("words", "many", "a whole number of 2 or more"),
    ("words", "", "a whole number of 2 or more"),
    ("components", "0", "a whole number of 1 or more"),
    ("train_images", "-1", "a whole number of 1 or more"),
    ("test_fraction", "0", "a number above 0 and below 1"),
    ("test_fraction", "1", "a number above 0 and below 1"),
    ("test_fraction", "nan", "a number above 0 and below 1"),
    ("test_images", "0", "a whole number of 1 or more"),
    ("min_partitions", "-18", "a whole number of 1 or more"),
    ("seed", "-1", "a whole number from 0 to"),
    ("seed", str(2**63), "a whole number from 0 to"),
    ("vocabulary_sample", "some", "a whole number of 1 or more, 'all' or 'default'"),
    ("vocabulary_sample", "0", "a whole number of 1 or more, 'all' or 'default'"),
    ("max_bad_fraction", "1.5", "a number from 0 to 1"),
    ("max_bad_fraction", "-0.1", "a number from 0 to 1"),
    ("max_bad_fraction", "nan", "a number from 0 to 1"),
    ("max_bad_fraction", "half", "a number from 0 to 1"),
    ("categories", " , ", "names separated by commas"),
    ("data", " ", "a folder or an s3:// address"),
    ("out", "", "a folder or an s3:// address"),
    ("run_name", "../up", "letters, digits"),
    ("run_name", "a b", "letters, digits"),
    ("no_classify", "maybe", "true or false"),
    ("conf", "spark.a", "KEY=VALUE"),
    ("wait_for_data", "-1", "a whole number of 0 or more"),
    ("preset", "best", "accurate, sift, fast, reference"),
    ("descriptor", "akaze", "sift, rootsift, orb, surf"),
    ("classifier", "forest", "mlp, logistic"),
    ("protocol", "none", "standard"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_is_refused_with_where_it_came_from_what_it_is_and_what_it_may_be(name, value, allowed, toml):
    by_flag = refused({name: value})
    by_file = refused({"config": toml(f"{name} = {json.dumps(value)}")})
    path = toml("")
    told = [(by_flag, flag_name(name)), (by_file, f"'{name}' in {path}")]
    if value.strip():  # an empty variable is one that was not set
        told.append((refused({}, {f"FRUITS_{name.upper()}": value}), f"FRUITS_{name.upper()}"))
    for sentence, source in told:
        assert sentence.startswith(f"{source} is '{value}': ")
        assert allowed in sentence


@pytest.mark.parametrize(
    "content",
    [
        "words = 3.5",
        "words = true",
        "words = [1, 2]",
        "out = {a = 1}",
        "out = true",
        "[words]\nk = 3",
        "words = {}",
        "out = 1979-05-27",
        "categories = [1, 2]",
        "categories = [[]]",
        "conf = [1]",
        "no_classify = 2",
        "seed = [3]",
    ],
)
def test_a_value_of_another_kind_in_a_file_is_refused(content, toml):
    assert f"'{content.split()[0].strip('[]')}' in" in refused({"config": toml(content)})


def test_an_unknown_key_of_a_file_is_named(toml):
    sentence = refused({"config": toml("wordz = 3")})
    assert "'wordz'" in sentence
    assert toml("") in sentence
    assert "--help" in sentence


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    assert str(tmp_path / "no.toml") in refused({"config": str(tmp_path / "no.toml")})
    assert str(tmp_path) in refused({"config": str(tmp_path)})


@pytest.mark.parametrize("content", ["words == 3", "words = ", "[", "words = 3\nwords = 4"])
def test_a_file_that_is_no_toml_is_named(content, toml):
    assert toml(content) in refused({"config": toml(content)})


def test_a_file_in_another_encoding_is_named(tmp_path: Path):
    path = tmp_path / "latin.toml"
    path.write_bytes('categories = "Pêche"'.encode("latin-1"))
    assert str(path) in refused({"config": str(path)})


def test_there_are_no_more_components_than_words():
    sentence = refused({"preset": "sift", "words": "30", "components": "31"})
    assert "31" in sentence
    assert "30" in sentence
    assert resolve({"preset": "sift", "words": "30", "components": "30"}, {}).components == 30


def test_a_vocabulary_is_not_drawn_from_fewer_descriptors_than_words():
    sentence = refused({"words": "30", "vocabulary_sample": "29"})
    assert "--vocabulary-sample 29" in sentence
    assert "--words 30" in sentence


@pytest.mark.parametrize("other", ["train", "test"])
def test_data_goes_with_neither_train_nor_test(other):
    sentence = refused({"data": "a", other: "b"})
    assert "--data" in sentence
    assert "--train" in sentence


@pytest.mark.parametrize(("given", "missing"), [("train", "--test"), ("test", "--train")])
def test_train_and_test_go_together(given, missing):
    assert refused({given: "a"}).startswith(f"{missing} is missing")


@pytest.mark.parametrize(
    ("flags", "environment", "content", "found"),
    [
        ({"train": "a", "test": "b"}, {"FRUITS_DATA": "c"}, "", (None, "a", "b")),
        ({"train": "a", "test": "b"}, {}, 'data = "c"', (None, "a", "b")),
        ({}, {"FRUITS_TRAIN": "a", "FRUITS_TEST": "b"}, 'data = "c"', (None, "a", "b")),
        ({"data": "c"}, {"FRUITS_TRAIN": "a", "FRUITS_TEST": "b"}, "", ("c", None, None)),
        ({"data": "c"}, {}, 'train = "a"\ntest = "b"', ("c", None, None)),
        ({}, {"FRUITS_DATA": "c"}, 'train = "a"\ntest = "b"', ("c", None, None)),
        ({"test": "b"}, {"FRUITS_TRAIN": "a"}, 'data = "c"', (None, "a", "b")),
        (
            {"train": "a", "test": "b"},
            {"FRUITS_DATA": "c", "FRUITS_TEST_FRACTION": "0.2"},
            'labels = "l"',
            (None, "a", "b"),
        ),
    ],
)
def test_pictures_named_in_a_stronger_place_hide_those_of_a_weaker_one(flags, environment, content, found, toml):
    settings = resolve({**flags, "config": toml(content)}, environment)
    assert (settings.data, settings.train, settings.test) == found


@pytest.mark.parametrize(
    ("flags", "environment", "content", "parts"),
    [
        (
            {"words": "20", "descriptor": "sift"},
            {"FRUITS_COMPONENTS": "100"},
            "",
            ["FRUITS_COMPONENTS=100 is more than --words 20:"],
        ),
        (
            {"components": "600", "preset": "sift"},
            {},
            "",
            ["--components 600 is more than --words 500 of --preset sift:"],
        ),
        ({"words": "20", "descriptor": "sift"}, {}, "components = 100", ["'components' in ", " (100) is more than"]),
        ({}, {"FRUITS_VOCABULARY_SAMPLE": "9"}, "words = 20", ["FRUITS_VOCABULARY_SAMPLE=9 is less than 'words' in "]),
        ({}, {"FRUITS_DATA": "a", "FRUITS_TRAIN": "b"}, "", ["FRUITS_DATA is given together with FRUITS_TRAIN:"]),
        ({}, {}, 'data = "a"\ntest = "b"', ["'data' in ", " is given together with 'test' in "]),
        ({}, {"FRUITS_TRAIN": "a"}, "", ["--test is missing: FRUITS_TRAIN and --test go together."]),
        ({"data": "a"}, {"FRUITS_LABELS": "l.csv"}, "", ["FRUITS_LABELS is given without --test-fraction:"]),
        ({}, {}, "test_fraction = 0.2", ["'test_fraction' in ", " is given without --data:"]),
        ({}, {"FRUITS_WAIT_FOR_DATA": "5"}, "", ["FRUITS_WAIT_FOR_DATA=5 is given without --data:"]),
        (
            {"protocol": "few-shot"},
            {"FRUITS_NO_CLASSIFY": "1"},
            "",
            ["--protocol few-shot is given together with FRUITS_NO_CLASSIFY=1:"],
        ),
    ],
)
def test_what_does_not_go_together_is_told_with_where_each_came_from(flags, environment, content, parts, toml):
    path = toml(content)
    sentence = refused({**flags, "config": path}, environment)
    for part in parts:
        assert part in sentence
    assert (path in sentence) == bool(content)


@pytest.mark.parametrize("given", [{"protocol": "few-shot"}, {"protocol": "rotation"}, {"learning_curve": "true"}])
def test_what_scores_a_classifier_does_not_go_without_one(given):
    (name,) = given
    sentence = refused({**given, "no_classify": "true"})
    assert sentence.startswith(f"{flag_name(name)} ")
    assert "is given together with --no-classify: " in sentence
    assert resolve({"protocol": "standard", "no_classify": "true"}, {}).no_classify


def test_there_is_nothing_to_wait_for_without_data():
    assert "--wait-for-data 1 is given without --data" in refused({"wait_for_data": "1"})
    assert resolve({"wait_for_data": "0"}, {}).wait_for_data == 0


@pytest.mark.parametrize("name", ["data", "train", "test", "out", "cache", "event_log", "labels"])
def test_a_login_in_an_address_is_refused_and_not_told(name):
    for given in ({name: "s3://key:hush@b/x"}, {name: "s3a://key:hu/sh@b/x"}):
        sentence = refused(given)
        assert sentence.startswith(f"{flag_name(name)} ")
        assert "hush" not in sentence
        assert "sh@" not in sentence
        assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in sentence


MASTERS = [
    *("local", "local[4]", "local[*]", "local[08]", "local[2,3]", "local[*, 3]", "local-cluster[2,1,1024]"),
    *("local-cluster[ 2 , 1 , 1024 ]", "spark://a:7077,b:7077", "k8s://https://a:6443", "k8s://a", "yarn"),
]


@pytest.mark.parametrize("master", MASTERS)
def test_masters_that_spark_knows_are_taken(master):
    assert resolve({"master": master}, {}).master == master
    assert resolve({"conf": [f"spark.master={master}"]}, {}).spark_conf() == {"spark.master": master}


@pytest.mark.parametrize(
    "master",
    [
        *("foo", "local[x]", "local[]", "local[2", "local-cluster[2,1]", "spark://", "mesos://a", "YARN", "k8s:a"),
        *("local[0]", "local[00,2]", "local-cluster[0,1,1024]", "local-cluster[2, 0, 1024]"),  # no core
    ],
)
def test_a_master_that_spark_does_not_know_is_refused(master):
    may_be = "local, local[4], local[*], local-cluster[2,1,1024], spark://HOST:PORT, k8s://https://HOST:PORT or yarn."
    assert refused({"master": master}) == f"--master is '{master}': it must be {may_be}"
    assert refused({"conf": [f"spark.master={master}"]}) == f"--conf spark.master is '{master}': it must be {may_be}"


@pytest.mark.parametrize(
    "key",
    [
        *(
            "spark.driver.memory",
            "spark.executor.memory",
            "spark.driver.memoryOverhead",
            "spark.executor.memoryOverhead",
        ),
        *("spark.executor.pyspark.memory", "spark.memory.offHeap.size", "spark.driver.maxResultSize"),
    ],
)
def test_an_amount_of_memory_that_spark_can_not_read_is_refused(key, toml):
    for value in ("abc", "1.5g", "g", "-1g", "2 g", ""):
        assert refused({"conf": [f"{key}={value}"]}).startswith(
            f"--conf {key} is '{value}': it must be an amount of memory such as 512m or 2g"
        )
    assert refused({}, {"FRUITS_CONF": f"{key}=abc"}).startswith(f"FRUITS_CONF {key} is 'abc': ")
    assert f"'conf' in {toml('')}, {key}, is 'abc': " in refused({"config": toml(f'conf = ["{key}=abc"]')})
    for value in ("512m", "2g", "2G"):
        assert resolve({"conf": [f"{key}={value}"]}, {}).spark_conf()[key] == value


def test_the_memory_of_the_driver_has_the_unit_that_java_wants():
    for value in ("10", "1gb", "1024b"):
        assert "with k, m, g or t behind it" in refused({"conf": [f"spark.driver.memory={value}"]})
    for value in ("1024", "1gb", "512mb"):
        resolve({"conf": [f"spark.executor.memory={value}"]}, {})


def test_how_much_is_told_may_be_in_the_file_and_is_no_setting_of_a_run(toml):
    settings = resolve({"config": toml("quiet = true\njson = true\nwords = 30")}, {})
    assert settings.words == 30
    assert not set(settings.public()) & {"quiet", "verbose", "json"}


@pytest.mark.parametrize("name", ["quiet", "verbose", "json"])
def test_how_much_is_told_is_true_or_false(name, toml):
    sentence = refused({"config": toml(f'{name} = "perhaps"')})
    assert sentence == f"'{name}' in {toml('')} is 'perhaps': it must be true or false."


# ---- what is shown


def test_settings_can_be_shown_as_json():
    shown = json.loads(json.dumps(resolve({"categories": "A,B", "conf": ["spark.a=1"]}, {}).public()))
    assert set(shown) == {spec.name for spec in fields(Settings)}
    assert shown["categories"] == ["A", "B"]
    assert shown["conf"] == ["spark.a=1"]


@pytest.mark.parametrize(
    "key",
    [
        "spark.hadoop.fs.s3a.secret.key",
        "spark.hadoop.fs.s3a.access.key",
        "my.PASSWORD",
        "spark.hadoop.fs.s3a.session.token",
        "spark.ssl.keyPassword",
        "x.credentials",
    ],
)
def test_secrets_are_hidden(key):
    shown = resolve({"conf": [f"{key}=hush=hush"]}, {})
    assert shown.public()["conf"] == [f"{key}=***"]
    assert shown.spark_conf() == {key: "hush=hush"}


def test_a_secret_inside_of_a_value_is_hidden_as_well():
    options = "spark.driver.extraJavaOptions=-Djavax.net.ssl.keyStorePassword=hush"
    assert "hush" not in str(resolve({"conf": [options]}, {}).public())


@pytest.mark.parametrize(
    "pair",
    [
        "spark.my.url=jdbc:postgresql://u:hush@h/db",
        "spark.hadoop.fs.s3a.proxy.host=http://u:hush@h",
        "spark.my.url=https://h/x?X-Amz-Signature=hush",
    ],
)
def test_a_secret_inside_an_address_is_hidden_whatever_its_key(pair):
    shown = resolve({"conf": [pair], "master": "k8s://https://u:hush@h"}, {}).public()
    assert "hush" not in str(shown)
    assert shown["conf"][0].startswith(pair.partition("=")[0] + "=")
    assert shown["master"] == "k8s://https://h"


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        resolve({}, {}).words = 3  # type: ignore[misc]
