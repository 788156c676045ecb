"""What a worker does with pictures that a saved model is to predict: read, predict, leave a file. Imports no Spark."""

import hashlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from job import storage
from job.apart import CRASHED, Apart, CrashedError
from job.storage.tables import to_parquet

if TYPE_CHECKING:
    from job.model.predict import Model, Prediction, Rejection

SCHEMA = pa.schema(
    [
        ("ima", pa.string()),
        ("prediction", pa.int32()),
        ("predicted_cat", pa.string()),
        ("probability", pa.float64()),
        ("second_cat", pa.string()),
        ("second_probability", pa.float64()),
        ("status", pa.string()),
    ]
)
"""Predictions: a row a picture. `prediction` is the number of the category, `predicted_cat` its name; what a picture
does not have is null. `status` is "ok", "unknown" or why the picture could not be described."""

# Most pictures and bytes that are read before they are predicted together.
_PICTURES, _BYTES = 256, 16 << 20
# The model of this process by its digest: it is unpacked once, and not for each task.
_unpacked: dict[str, "Model"] = {}


@dataclass(frozen=True)
class BatchPrediction:
    """How a worker predicts a batch of pictures, and where it leaves what it found.

    Attributes
    ----------
    digest
        Digest of the model.
    packed
        Gives the model as cloudpickle has packed it; asked once in a process.
    rejection
        When the status is "unknown".
    target
        Address of the folder that the files are written to.
    public_read
        Whether everybody may read them in S3.

    """

    digest: str
    packed: Callable[[], bytes]
    rejection: "Rejection"
    target: str
    public_read: bool = False

    def work(self, batch: pa.RecordBatch, *, apart: bool = False) -> pa.RecordBatch:
        """Predicts the pictures in the columns `root, ima`, and writes a Parquet file of schema `SCHEMA`.

        The file is named by the pictures in it: a task that is done twice writes the same file twice. One row comes
        back, `part` and `pictures`: the name of the file and its number of rows. `apart`: see `predicted`.
        """
        roots, names = batch["root"], batch["ima"].to_pylist()
        found = predicted(self._model(), roots[0].as_py(), names, self.rejection, apart=apart)
        name = part_name(names)
        storage.write_bytes(storage.join(self.target, name), to_parquet(found), public_read=self.public_read)
        return pa.RecordBatch.from_pydict({"part": [name], "pictures": pa.array([len(names)], pa.int64())})

    def _model(self) -> "Model":
        if self.digest not in _unpacked:
            _unpacked.clear()
            _unpacked[self.digest] = pickle.loads(self.packed())  # noqa: S301  (comes from this run's driver)
        return _unpacked[self.digest]


def part_name(names: Sequence[str]) -> str:
    """Name of the file with the predictions of these pictures."""
    return f"part-{hashlib.sha256(chr(0).join(names).encode()).hexdigest()[:32]}.parquet"


def predicted(
    model: "Model", root: str, names: Sequence[str], rejection: "Rejection | None" = None, *, apart: bool = False
) -> pa.Table:
    """Predictions of pictures by their names below `root`: a table of schema `SCHEMA`, in their order.

    With `apart` each is predicted in another process: one on which two processes end has the status "crashed".
    """
    found: list[Prediction] = []
    predict = partial(model.predict, top_k=2, **(rejection.asked() if rejection else {}))
    with Apart(predict) as one:
        for contents in _together(storage.read_many(root, names, max_bytes=model.max_bytes)):
            found += [_unless_crashed(one, content) for content in contents] if apart else predict(contents)
    seconds = [each.top[1] if each.label is not None and len(each.top) > 1 else (None, None) for each in found]
    columns = [
        list(names),
        [each.label for each in found],
        [each.category for each in found],
        [each.probability for each in found],
        [name for name, _ in seconds],
        [chance for _, chance in seconds],
        [each.status for each in found],
    ]
    return pa.table(columns, schema=SCHEMA)


def _unless_crashed(predict: Callable[[Any], Any], content: Any) -> "Prediction":
    from job.model.predict import Prediction

    try:
        found: Prediction = predict(content)
    except CrashedError:
        return Prediction(None, None, (), CRASHED, None)
    return found


def unusable(names: Sequence[str], status: str) -> pa.Table:
    """A table of schema `SCHEMA` with pictures that have this status and no prediction."""
    nothing = [None] * len(names)
    return pa.table([list(names), *[nothing] * (len(SCHEMA) - 2), [status] * len(names)], schema=SCHEMA)


def _together(contents: Iterator[bytes | storage.Fault]) -> Iterator[list[Any]]:
    """Pictures that are predicted together."""
    part: list[Any] = []
    size = 0
    for content in contents:
        part.append(content)
        size += len(content) if isinstance(content, bytes) else 0
        if len(part) >= _PICTURES or size >= _BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
