"""The saved model: its format, read without Spark, and what it answers for new pictures."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from job.model.predict import Model

__all__ = ["load_model"]


def load_model(uri: str | os.PathLike[str]) -> "Model":
    """Load the model that a run has left, for predictions in this process, without Spark.

    Parameters
    ----------
    uri
        The folder of a run, or that of its model: a folder of this machine or `s3://bucket/prefix`.

    Raises
    ------
    job.errors.UserError
        There is no model, or it is half-written, damaged, another program's or newer than this one: in one sentence,
        with the way out.

    """
    from job.model import format as model_format
    from job.model.predict import Model

    return Model(model_format.read(uri))
