"""Kinds of issues of a data set by name: each looks for something that may be wrong. An entry is one file and one line.

How they are cut is cleanlab's (`datalab/internal/issue_manager`): a class a kind. Everything is plain numpy.
"""

from typing import TYPE_CHECKING

from job.registry import Registry

if TYPE_CHECKING:
    from job.learn.issues.base import Kind

KINDS: "Registry[Kind]" = Registry(
    "kind of issue",
    {
        "label": "job.learn.issues.labels:LABELS",
        "near_duplicate": "job.learn.issues.near_duplicates:NEAR_DUPLICATES",
        "outlier": "job.learn.issues.outliers:OUTLIERS",
        "overlap": "job.learn.issues.overlaps:OVERLAPS",
        "few": "job.learn.issues.few:FEW",
    },
)
