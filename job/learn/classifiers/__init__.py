"""Classifiers by name: each learns categories from features. An entry is one file and one line here."""

from typing import TYPE_CHECKING

from job.registry import Registry

if TYPE_CHECKING:
    from job.learn.classifiers.base import Classifier

CLASSIFIERS: "Registry[Classifier]" = Registry(
    "classifier",
    {
        "mlp": "job.learn.classifiers.mlp:MLP",
        "logistic": "job.learn.classifiers.logistic:LOGISTIC",
        "lda": "job.learn.classifiers.lda:LDA",
        "rda": "job.learn.classifiers.rda:RDA",
        "ridge": "job.learn.classifiers.ridge:RIDGE",
        "linear-svm": "job.learn.classifiers.linear_svm:LINEAR_SVM",
    },
)
