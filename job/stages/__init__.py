"""The pipeline's stages as Spark ML Estimators and Transformers: thin, over `job.vision`, `job.learn`, `job.learn`.

One row a picture, its descriptors in one packed column. What is fitted depends on the pictures, not on partitions.
"""

from job.stages.classifier import CategoryClassifier, CategoryClassifierModel, CategoryIndexer
from job.stages.extractor import DescriptorExtractor
from job.stages.reducer import PrincipalComponents, PrincipalComponentsModel
from job.stages.vocabulary import VisualVocabulary, VisualVocabularyModel

__all__ = [
    "CategoryClassifier",
    "CategoryClassifierModel",
    "CategoryIndexer",
    "DescriptorExtractor",
    "PrincipalComponents",
    "PrincipalComponentsModel",
    "VisualVocabulary",
    "VisualVocabularyModel",
]
