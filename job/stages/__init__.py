"""The pipeline's stages as Spark ML Estimators and Transformers: thin, over `job.vision` and `job.learn`.

One row is one picture, its descriptors in one packed column. What is fitted depends on the pictures, not on
partitions. Names are loaded when they are first used, so that workers, which need `job.extraction` alone, do
not import Spark ML.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job.stages.classifier import CategoryClassifier, CategoryClassifierModel, CategoryIndexer
    from job.stages.extractor import DescriptorExtractor
    from job.stages.reducer import PrincipalComponents, PrincipalComponentsModel
    from job.stages.scaler import BlockScaler, BlockScalerModel
    from job.stages.vocabulary import VisualVocabulary, VisualVocabularyModel

_MODULES = {
    "BlockScaler": "scaler",
    "BlockScalerModel": "scaler",
    "CategoryClassifier": "classifier",
    "CategoryClassifierModel": "classifier",
    "CategoryIndexer": "classifier",
    "DescriptorExtractor": "extractor",
    "PrincipalComponents": "reducer",
    "PrincipalComponentsModel": "reducer",
    "VisualVocabulary": "vocabulary",
    "VisualVocabularyModel": "vocabulary",
}
__all__ = [
    "BlockScaler",
    "BlockScalerModel",
    "CategoryClassifier",
    "CategoryClassifierModel",
    "CategoryIndexer",
    "DescriptorExtractor",
    "PrincipalComponents",
    "PrincipalComponentsModel",
    "VisualVocabulary",
    "VisualVocabularyModel",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'job.stages' has no attribute '{name}'")
    return getattr(import_module(f"job.stages.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
