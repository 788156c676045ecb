"""Checksums of what OpenCV and mahotas make of the pictures in a folder: `describe.py FOLDER`."""

import hashlib
import sys
from pathlib import Path

import cv2
import numpy as np
from mahotas.features import surf

cv2.setNumThreads(1)
found: dict[str, "hashlib._Hash"] = {}


def note(name: str, array: "np.ndarray | None") -> None:
    found.setdefault(name, hashlib.sha256()).update(b"" if array is None else array.tobytes())


for path in sorted(Path(sys.argv[1]).rglob("*.jpg"))[::3]:
    colour = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    points, descriptors = cv2.SIFT_create().detectAndCompute(grey, None)
    note("colour", colour)
    note("sift", descriptors)
    note("sift points", np.array([(p.pt[0], p.pt[1], p.size, p.angle) for p in points]))
    note("orb", cv2.ORB_create(patchSize=15, edgeThreshold=15).detectAndCompute(grey, None)[1])
    note("surf", surf.surf(grey))
    note("half", cv2.resize(colour, (50, 50), interpolation=cv2.INTER_AREA))
    note("blurred", cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.6))
    note("png", cv2.imencode(".png", colour)[1])
for name, checksum in found.items():
    print(name, checksum.hexdigest())
