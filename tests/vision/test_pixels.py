import contextlib
import resource
import struct
import subprocess
import sys
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from job import vision
from job.vision import pixels, sample
from job.vision.pixels import Unusable, decode, decode_colour


def textured(height=40, width=60):
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(suffix, picture=None, *options):
    return cv2.imencode(suffix, textured() if picture is None else picture, list(options))[1].tobytes()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width, height, *chunks):
    """A complete PNG whose header promises that size and whose data hold none of it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rest = chunks or (chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(rest)


def with_jpeg_size(data, width, height):
    place = data.index(b"\xff\xc0")
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


def reason(data, **limits):
    with pytest.raises(Unusable) as caught:
        decode(data, **limits)
    assert caught.value.reason in pixels.REASONS
    return caught.value.reason


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_becomes_grey_pixels(suffix):
    grey = decode(encoded(suffix))
    assert (grey.shape, grey.dtype) == ((40, 60), np.uint8)


def test_a_png_is_read_without_loss_in_colour():
    np.testing.assert_array_equal(decode_colour(encoded(".png")), textured())


def test_a_grey_png_gives_three_equal_colours():
    colour = decode_colour(encoded(".png", textured()[..., 0]))
    np.testing.assert_array_equal(colour, np.repeat(textured()[..., :1], 3, axis=2))


def test_sixteen_bits_and_transparency_become_eight_bits_of_grey():
    deep = np.full((9, 8, 4), 65535, np.uint16)
    np.testing.assert_array_equal(decode(encoded(".png", deep)), np.full((9, 8), 255, np.uint8))


def test_the_content_decides_and_not_the_name_so_a_png_called_jpg_works():
    """`decode` never learns a name: the magic bytes are all it has."""
    assert decode(encoded(".png")).shape == decode(encoded(".jpg")).shape == (40, 60)


@pytest.mark.parametrize("data", [b"", bytearray(), None])
def test_no_bytes_are_empty(data):
    assert reason(data) == "empty"


def test_more_bytes_than_allowed_are_too_large():
    data = encoded(".png")
    assert decode(data, max_bytes=len(data)).any()
    assert reason(data, max_bytes=len(data) - 1) == "too_large"


def test_more_pixels_than_allowed_are_too_large():
    assert decode(encoded(".jpg"), max_pixels=2400).shape == (40, 60)
    assert reason(encoded(".jpg"), max_pixels=2399) == "too_large"
    assert reason(encoded(".png"), max_pixels=2399) == "too_large"


@pytest.mark.parametrize("data", [png_header(20_000, 20_000), with_jpeg_size(encoded(".jpg"), 20_000, 20_000)])
def test_a_header_of_20000_by_20000_is_too_large_and_nothing_is_allocated(data):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert reason(data) == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # the picture would be 390,625 kB


def test_a_limit_of_opencv_below_ours_is_too_large_as_well():
    code = (
        "import sys; from job.vision import pixels\n"
        "try: pixels.decode(sys.stdin.buffer.read())\n"
        "except pixels.Unusable as fault: print(fault.reason)"
    )
    environment = {"OPENCV_IO_MAX_IMAGE_PIXELS": "1000"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=encoded(".png"),
        env=environment,
        capture_output=True,
        cwd=vision.__path__[0] + "/../..",
        check=True,
    )
    assert done.stdout == b"too_large\n"


def test_the_pixel_limit_is_set_before_opencv_is_loaded():
    code = (
        "import sys, os; import job.vision; assert 'cv2' not in sys.modules\n"
        "print(os.environ['OPENCV_IO_MAX_IMAGE_PIXELS']); import job.vision.picture\n"
        "assert 'cv2' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={},
        capture_output=True,
        text=True,
        cwd=vision.__path__[0] + "/../..",
        check=True,
    )
    assert done.stdout == f"{vision.MAX_PIXELS}\n"


@pytest.mark.parametrize("data", [b"x", b"not a picture", b"BMW is a car, and II a numeral", b"MM", bytes(1000)])
def test_neither_jpeg_nor_png_is_not_an_image(data):
    assert reason(data) == "not_an_image"


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".tiff", ".gif"])
def test_other_formats_are_refused_even_if_opencv_reads_them(suffix: str):
    assert reason(encoded(suffix)) == "not_supported"


@pytest.mark.parametrize(
    "start", [b"MM\0*", b"GIF87a", b"\0\0\0\x18ftypheic", b"\0\0\0\x1cftypavif", b"RIFF\n\n\n\nWEBP"]
)
def test_pictures_of_other_kinds_are_known_by_how_they_begin(start: bytes):
    assert reason(start + bytes(100)) == "not_supported"


def test_a_complete_file_with_a_damaged_header_is_not_an_image():
    data = encoded(".jpg")
    place = data.index(b"\xff\xc0")
    assert reason(data[: place + 4] + b"\x63" + data[place + 5 :]) == "not_an_image"  # 99 bits a sample
    assert reason(png_header(0, 5)) == "not_an_image"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.3, 0.5, 0.9, 0.99, 1.0])
def test_a_file_that_is_cut_off_is_truncated(suffix, part):
    data = encoded(suffix)
    length = min(max(8, round(part * len(data))), len(data) - 1)
    assert reason(data[:length]) == "truncated"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_every_cut_is_found_to_the_byte(suffix):
    data = encoded(suffix, textured(8, 8))
    assert {reason(data[:length]) for length in range(3, len(data))} == {"truncated"}


def test_a_progressive_jpeg_is_read_and_its_cut_found():
    data = encoded(".jpg", None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode(data).shape == (40, 60)
    assert reason(data[:-2]) == "truncated"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("tail", [bytes(1), bytes(4096), b"\r\n", b"trailing text", b"\xff" * 10])
def test_what_follows_the_end_is_tolerated(suffix, tail):
    np.testing.assert_array_equal(decode(encoded(suffix) + tail), decode(encoded(suffix)))


@pytest.mark.parametrize("end", [b"", b"28 bytes that are not allowed"])
def test_a_length_behind_the_end_of_a_png_is_not_believed(end):
    """OpenCV 5 makes room for a palette of 4 GB behind an end before which there were no pixels."""
    bomb = png_header(
        25, 65, chunk(b"PLTE", bytes(6)), chunk(b"IEND", end), struct.pack(">I", 0xFB2843C1), b"PLTE" * 20
    )
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from job.vision.pixels import Unusable, decode\n"
        "try:\n    decode(sys.stdin.buffer.read())\n"
        "except Unusable as unusable:\n    print(unusable.reason)\n"
        # unlike what `resource` tells, this leaves out what the process had that started this one
        r"print(re.search(r'VmHWM:\s*(\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], input=bomb, capture_output=True, check=True)
    why, kilobytes = done.stdout.decode().split()
    assert why == ("truncated" if end else "not_an_image")
    assert int(kilobytes) < 300_000


def test_the_end_of_an_embedded_thumbnail_is_not_the_end_of_the_picture():
    data, thumbnail = encoded(".jpg"), encoded(".jpg", textured(4, 4))
    block = b"Exif\0\0" + thumbnail
    whole = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    assert decode(whole).shape == (40, 60)
    assert reason(whole[:-2]) == "truncated"


def test_random_damage_gives_a_picture_or_a_reason_and_nothing_else():
    rng = np.random.default_rng(3)
    original = [sample.sample_picture(0, 0), encoded(".png", textured(20, 20))]
    for turn in range(300):
        data = bytearray(original[turn % 2])
        for place in rng.integers(0, len(data), 5):
            data[place] = rng.integers(256)
        with contextlib.suppress(Unusable):
            assert decode(bytes(data)).ndim == 2


def test_single_thread_leaves_opencv_one_thread():
    before = cv2.getNumThreads()
    try:
        vision.single_thread()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


SHORT_OF_MEMORY = """
import resource, sys
import cv2
import numpy as np
from job.vision import pixels

cv2.setNumThreads(1)
noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (2500, 2500, 3), np.uint8), (9, 9), 0)
files = [
    cv2.imencode(suffix, noise, options)[1].tobytes()
    for suffix, options in ((".jpg", []), (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), (".png", []))
]
del noise
pixels.decode(files[0])
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
for room in range(0, 64 << 20, 4 << 20):
    resource.setrlimit(resource.RLIMIT_AS, (size + room, -1))
    for number, data in enumerate(files):
        for decode in (pixels.decode, pixels.decode_colour):
            try:
                decode(data)
                print(number, "a picture")
            except MemoryError:
                print(number, "no memory")
"""


def test_what_can_not_be_decoded_for_lack_of_memory_is_no_damaged_picture():
    """A worker whose memory is short must not leave out good pictures."""
    command = [sys.executable, "-c", SHORT_OF_MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.splitlines()
    assert len(found) == 16 * 3 * 2
    assert set(found) == {f"{number} {what}" for number in range(3) for what in ("a picture", "no memory")}


def scan_damaged(turn, *options):
    """A JPEG of which some bytes of the scan are others."""
    data = bytearray(encoded(".jpg", sample_colour(), *options))
    rng, start = np.random.default_rng(turn), data.index(b"\xff\xda") + 20
    for place in rng.integers(start, len(data) - 2, 4):
        data[place] = int(rng.integers(0xFF))
    return bytes(data)


def sample_colour():
    return decode_colour(sample.sample_picture(0, 0))


def test_a_jpeg_that_is_damaged_inside_is_named_where_the_decoder_notices_and_nothing_is_written(capfd):
    found = Counter()
    for turn in range(100):
        data = scan_damaged(turn, *([cv2.IMWRITE_JPEG_PROGRESSIVE, 1] if turn % 2 else []))
        try:
            assert decode_colour(data).shape == (100, 100, 3)
            found["used"] += 1
        except Unusable as unusable:
            found[unusable.reason] += 1
    assert set(found) <= {"used", "damaged", "not_an_image"}
    assert found["damaged"] >= 25, found
    assert capfd.readouterr().err == ""


def test_bytes_that_the_decoder_skips_are_no_damage():
    data = encoded(".jpg")
    noise = data[:-2] + b"\x12\x34\x56" + data[-2:]
    np.testing.assert_array_equal(decode_colour(noise), decode_colour(data))


def test_a_restart_marker_that_is_another_is_damage():
    data = encoded(".jpg", textured(64, 64), cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
    place = data.index(b"\xff\xd3")
    assert reason(data[:place] + b"\xff\xd7" + data[place + 2 :]) == "damaged"


def test_threads_that_decode_at_the_same_time_hear_of_their_own_pictures_alone():
    whole = encoded(".jpg", sample_colour())
    broken = next(data for data in map(scan_damaged, range(100)) if outcome(data) == "damaged")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(outcome, [whole, broken] * 200))
    assert found == ["used", "damaged"] * 200


def outcome(data):
    try:
        decode(data)
    except Unusable as unusable:
        return unusable.reason
    return "used"
