"""Image classification by visual words, on Spark, on Kubernetes.

What stands here is for other people's Python: whole runs (`run`), predictions without Spark (`load_model`), and the
stages of the pipeline for pipelines of one's own. Names are loaded when they are first used, so that `import job` alone
loads neither Spark nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job.experiment.run import run
    from job.model import load_model
    from job.model.predict import Model, Prediction
    from job.stages.classifier import CategoryClassifier, CategoryClassifierModel, CategoryIndexer
    from job.stages.extractor import DescriptorExtractor
    from job.stages.reducer import PrincipalComponents, PrincipalComponentsModel
    from job.stages.scaler import BlockScaler, BlockScalerModel
    from job.stages.vocabulary import VisualVocabulary, VisualVocabularyModel

__version__ = "0.1.0"

__all__ = [
    "BlockScaler",
    "BlockScalerModel",
    "CategoryClassifier",
    "CategoryClassifierModel",
    "CategoryIndexer",
    "DescriptorExtractor",
    "Model",
    "Prediction",
    "PrincipalComponents",
    "PrincipalComponentsModel",
    "VisualVocabulary",
    "VisualVocabularyModel",
    "__version__",
    "load_model",
    "run",
]

_MODULES = {
    "BlockScaler": "job.stages.scaler",
    "BlockScalerModel": "job.stages.scaler",
    "CategoryClassifier": "job.stages.classifier",
    "CategoryClassifierModel": "job.stages.classifier",
    "CategoryIndexer": "job.stages.classifier",
    "DescriptorExtractor": "job.stages.extractor",
    "Model": "job.model.predict",
    "Prediction": "job.model.predict",
    "PrincipalComponents": "job.stages.reducer",
    "PrincipalComponentsModel": "job.stages.reducer",
    "VisualVocabulary": "job.stages.vocabulary",
    "VisualVocabularyModel": "job.stages.vocabulary",
    "load_model": "job.model",
    "run": "job.experiment.run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'job' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
