"""What lets MLflow load a model: the file `MLmodel` beside it, and the loader that this file names.

`mlflow.pyfunc.load_model(uri)` and `mlflow.pyfunc.spark_udf(spark, uri, env_manager="local")` work where MLflow and
this package are installed; this package itself never imports MLflow. Nothing is pickled. The form of `MLmodel` is
MLflow's: https://mlflow.org/docs/latest/ml/model/#storage-format.
"""

import base64
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from job import __version__

if TYPE_CHECKING:
    import pandas as pd

    from job.model.predict import Model

MLMODEL, EXAMPLE, REQUIREMENTS = "MLmodel", "input_example.json", "requirements.txt"
PICTURE = "picture"
"""Column with the bytes of pictures."""
_TOP_K, _REJECT_BELOW, _REJECT_UNKNOWN = "top_k", "reject_below", "reject_unknown"
_OUTPUTS = {"category": "string", "probability": "double", "status": "string", "top": "string"}


def files(digest: str, example: bytes) -> dict[str, bytes]:
    """The files that MLflow wants beside a model, by their names.

    Parameters
    ----------
    digest
        Digest of the model, of which MLflow's identifier is made.
    example
        Bytes of a picture, as an example of what the model is asked.

    """
    import yaml

    inputs = [{"name": PICTURE, "type": "binary", "required": True}]
    outputs = [{"name": name, "type": kind, "required": name == "status"} for name, kind in _OUTPUTS.items()]
    parameters = [
        {"name": _TOP_K, "type": "long", "default": 3, "shape": None},
        {"name": _REJECT_BELOW, "type": "double", "default": 0.0, "shape": None},
        {"name": _REJECT_UNKNOWN, "type": "double", "default": 0.0, "shape": None},
    ]
    content = {
        "flavors": {
            "python_function": {
                "loader_module": __name__,
                "python_version": platform.python_version(),
            }
        },
        "model_uuid": digest[:32],
        "saved_input_example_info": {
            "artifact_path": EXAMPLE,
            "pandas_orient": "split",
            "type": "dataframe",
        },
        "signature": {
            "inputs": json.dumps(inputs),
            "outputs": json.dumps(outputs),
            "params": json.dumps(parameters),
        },
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }
    rows = {"columns": [PICTURE], "data": [[base64.b64encode(example).decode()]]}
    return {
        MLMODEL: yaml.safe_dump(content, sort_keys=True).encode(),
        EXAMPLE: json.dumps(rows).encode(),
        REQUIREMENTS: f"fruits-job=={__version__}\n".encode(),
    }


class _Predictor:
    """What MLflow asks: a frame of pictures in, a frame of answers out."""

    def __init__(self, model: "Model") -> None:
        self._model = model

    def predict(self, model_input: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """For each picture `category, probability, status`, and `top`, a JSON list of the most probable categories.

        Without a category it is None; MLflow's `spark_udf` makes the text "None" of that: the status tells.
        `model_input` has the bytes of pictures in the column `picture`, or in its only one.
        """
        import pandas as pd

        asked = dict(params or {})
        column = model_input[PICTURE] if PICTURE in model_input else model_input.iloc[:, 0]
        found = self._model.predict(
            [bytes(picture) for picture in column],
            int(asked.get(_TOP_K, 3)),
            reject_below=float(asked.get(_REJECT_BELOW, 0.0)),
            reject_unknown=float(asked.get(_REJECT_UNKNOWN, 0.0)),
        )
        columns = {
            "category": [each.category for each in found],
            "probability": [each.probability for each in found],
            "status": [each.status for each in found],
            "top": [json.dumps(each.public()["top"]) for each in found],
        }
        return pd.DataFrame(columns, index=model_input.index)


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> _Predictor:
    """MLflow's loader: the model in the folder `path`."""
    del model_config
    from job.model import load_model

    return _Predictor(load_model(path))
