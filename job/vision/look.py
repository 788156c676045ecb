"""The coarse look of a picture in few numbers, by which copies of it are recognised.

They are the coefficients of lowest frequency of the cosine transform of a small grey copy, as in perceptual hashes
(Zauner, 2010), but as numbers and not as bits.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from job.vision.picture import Picture

# Side of the grey copy, in pixels, and frequencies that are kept in each direction.
SIDE, KEPT = 32, 8


def look(picture: Picture) -> NDArray[np.float32]:
    """Coefficients by vertical and horizontal frequency: float32 of shape (KEPT, KEPT).

    The root of the sum of the squared differences of two looks is at most the root mean square of the differences of
    the grey copies, in levels of grey of 0 to 255.
    """
    small = cv2.resize(picture.lightness, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.dct(small.astype(np.float32))[:KEPT, :KEPT] / SIDE, np.float32)
