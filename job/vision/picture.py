"""A picture as descriptors see it: decoded when first needed, once for all of them."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision import MAX_PIXELS, pixels

if TYPE_CHECKING:
    from job.vision.fruit import Fruit


class Picture:
    """One picture, made by `decode` from the bytes of a file or by `of` from an array.

    Its pixels are computed when they are first asked for and kept, so that several descriptors share them.

    Parameters
    ----------
    data
        Bytes of a JPEG or PNG, checked already; None where `grey` and `colour` are given otherwise.
    mask
        Whether `fruit` leaves the background out. Off for photographs that have none.

    """

    def __init__(self, data: bytes | None, *, mask: bool = True) -> None:
        self._data = data
        self.mask = mask
        self._found: dict[str, Any] = {}

    @classmethod
    def decode(
        cls, data: bytes, max_bytes: int = pixels.MAX_BYTES, max_pixels: int = MAX_PIXELS, *, mask: bool = True
    ) -> Self:
        """The picture in the bytes of a JPEG or PNG, whatever the file is called.

        Size, kind and completeness are checked at once. Pixels are decoded on first use, so a file that is damaged
        inside raises `Unusable` only there: describe within the same `try`.

        Raises
        ------
        pixels.Unusable
            As `pixels.decode` does.

        """
        pixels.check(data, max_bytes, max_pixels)
        return cls(data, mask=mask)

    @classmethod
    def of(cls, array: NDArray[np.uint8], *, mask: bool = True) -> Self:
        """The picture in an array: uint8 of shape (height, width, 3), red first, or (height, width) for a grey one.

        One of more than a megapixel is shrunk to that. ValueError for another type or shape.
        """
        if array.dtype != np.uint8 or array.ndim not in {2, 3} or not array.size or array.shape[2:] not in {(), (3,)}:
            raise ValueError(
                f"A picture is a uint8 array of shape (height, width, 3), red first, or (height, width), "
                f"not {array.dtype} of shape {array.shape}."
            )
        found = cls(None, mask=mask)
        array = pixels.within(array, pixels.WORKING_PIXELS)
        if array.ndim == 2:
            found.grey = np.ascontiguousarray(array)
        else:
            found.colour = np.ascontiguousarray(array[..., ::-1])
        return found

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """Grey values, uint8 of shape (height, width), as `pixels.decode` gives them."""
        if self._data is not None:
            return pixels.read(self._data, cv2.IMREAD_GRAYSCALE)
        return np.asarray(cv2.cvtColor(self.colour, cv2.COLOR_BGR2GRAY), np.uint8)

    @cached_property
    def colour(self) -> NDArray[np.uint8]:
        """Colours, uint8 of shape (height, width, 3), blue first, as `pixels.decode_colour` gives them."""
        if self._data is not None:
            return pixels.read(self._data, cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(self.grey, cv2.COLOR_GRAY2BGR), np.uint8)

    @property
    def lightness(self) -> NDArray[np.uint8]:
        """Grey values of what is decoded already; those of a colour picture may differ from `grey` by rounding."""
        if "grey" in self.__dict__ or "colour" not in self.__dict__:
            return self.grey
        return np.asarray(cv2.cvtColor(self.colour, cv2.COLOR_BGR2GRAY), np.uint8)

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """What `compute` gives, which is computed for this picture when that name is first asked for, and kept."""
        if name not in self._found:
            self._found[name] = compute()
        return self._found[name]

    @cached_property
    def fruit(self) -> "Fruit":
        """The picture at working size with its background found, for descriptors of colour."""
        from job.vision import fruit

        return fruit.find(self.colour, mask=self.mask)
