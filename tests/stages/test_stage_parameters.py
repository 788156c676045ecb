"""Stages as Spark ML knows them; nothing here needs a session."""

import numpy as np
import pytest
from pyspark.ml import Estimator, Model, Transformer

from job import stages
from job.stages import (
    CategoryClassifier,
    CategoryIndexer,
    DescriptorExtractor,
    PrincipalComponents,
    VisualVocabulary,
)

UNFITTED = [DescriptorExtractor, VisualVocabulary, PrincipalComponents, CategoryIndexer, CategoryClassifier]


def test_every_stage_is_an_estimator_a_transformer_or_a_model():
    kinds = {name: getattr(stages, name) for name in stages.__all__}
    assert len(kinds) == 10
    for name, kind in kinds.items():
        assert issubclass(kind, Model if name.endswith("Model") else (Estimator, Transformer)), name


@pytest.mark.parametrize("kind", UNFITTED)
def test_parameters_are_given_by_name_have_a_default_and_a_sentence_each(kind):
    stage = kind()
    with pytest.raises(TypeError):
        kind(3)
    for param in stage.params:
        assert stage.isDefined(param), param.name
        assert param.doc
        assert f"{param.name}: " in stage.explainParams()


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (
            DescriptorExtractor,
            {
                "descriptor": "orb",
                "descriptors": ["orb", "sift"],
                "outputCol": "d",
                "outputCols": ["d", "e"],
                "maxBytes": 5,
                "mask": False,
                "disturbance": "blur",
                "copies": ["mild"],
                "copiedCol": "chosen",
                "seed": 4,
                "copyCol": "n",
                "looks": True,
                "lookCol": "l",
                "imageCol": "i",
                "rootCol": "r",
                "contentCol": "c",
                "keepContent": True,
                "keypointsCol": "k",
                "reasonCol": "w",
            },
        ),
        (
            VisualVocabulary,
            {
                "k": 9,
                "descriptor": "orb",
                "sampleSize": 7,
                "initMode": "random",
                "tolerance": 0.5,
                "maxIter": 3,
                "seed": 2,
                "encoding": "none",
                "imageCol": "i",
                "inputCol": "d",
                "outputCol": "b",
            },
        ),
        (PrincipalComponents, {"k": 3, "inputCol": "b", "outputCol": "f"}),
        (CategoryIndexer, {"categories": ["A", "B"], "inputCol": "c", "outputCol": "l"}),
        (
            CategoryClassifier,
            {
                "kind": "logistic",
                "categories": ["A"],
                "maxIter": 3,
                "seed": 2,
                "calibrated": True,
                "weightCol": "w",
                "imageCol": "i",
                "featuresCol": "f",
                "labelCol": "l",
                "predictionCol": "p",
                "categoryCol": "c",
                "probabilityCol": "q",
            },
        ),
    ],
)
def test_every_parameter_can_be_set_and_is_copied(kind, values):
    stage = kind(**values)
    assert {param.name for param in stage.params} == set(values)
    for given in (stage, stage.copy()):
        assert {name: given.getOrDefault(name) for name in values} == values
    assert stage.copy({stage.getParam(next(iter(values))): values[next(iter(values))]}).uid == stage.uid


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (VisualVocabulary, {"k": "many"}),
        (PrincipalComponents, {"k": 1.5}),
        (CategoryIndexer, {"categories": "A"}),
        (VisualVocabulary, {"kk": 3}),
    ],
)
def test_values_of_another_kind_are_refused(kind, values):
    with pytest.raises(TypeError):
        kind(**values)


def test_a_classifier_fits_and_predicts_arrays_that_are_at_hand():
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], 30)
    features = random.normal(size=(60, 3)) + 6.0 * labels[:, None]
    for kind, layers in (("mlp", [3, 3, 3, 2]), ("logistic", [3, 2])):
        model = CategoryClassifier(kind=kind, categories=["A", "B"]).fit_arrays(features, labels)
        assert model.trained.facts["layers"] == layers
        chances = model.transform_arrays(features)
        assert chances.shape == (60, 2)
        np.testing.assert_array_equal(chances.argmax(axis=1), labels)
        np.testing.assert_allclose(chances.sum(axis=1), 1.0)


def test_components_fit_and_project_arrays_that_are_at_hand():
    bags = np.random.default_rng(2).integers(0, 20, (40, 6)).astype(np.int32)
    model = PrincipalComponents(k=4).fit_arrays(bags)
    centred = bags - bags.mean(axis=0)
    expected = np.linalg.svd(centred, compute_uv=False)[:4]
    np.testing.assert_allclose(np.linalg.norm(model.transform_arrays(bags), axis=0), expected)
