"""Bytes to pixels, pixels to descriptors, and generated pictures: numpy and OpenCV, never Spark."""

import os

# OpenCV reads both when it is loaded. Any module of this package runs this first, so it is set wherever
# pictures are decoded; the header is checked as well, in case OpenCV was loaded before.
MAX_PIXELS = 50_000_000
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")


def single_thread() -> None:
    """One OpenCV thread in this process: four workers of one thread are 20-25 % faster than four of four."""
    import cv2

    cv2.setNumThreads(1)
