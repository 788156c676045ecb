"""Pictures that are damaged, lie about themselves or are something else as well, and names that are meant to harm."""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from job.vision.sample import sample_picture

Random = np.random.Generator

# Names for a spreadsheet, a shell, a page, a path, a terminal and a pattern; each is the beginning of a name.
NAMES = (
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\"quoted\", 'both'", "a,b;c\td", "line\nfeed",
    "carriage\rreturn", "$(touch owned)", "`touch owned`", "; rm -rf ~", "--out=x", "-rf", "| tee owned", "&& exit",
    "*?[x]{y}", "~root",
    "<script>alert(1)<img src=x onerror=alert(1)>", "'\"><svg onload=alert(1)>", "javascript:alert(1)", "!!", "x" * 200,
    "{{7*7}}{% raw %}", "%s%n%x", "a..", "a..\\..\\owned", "%2e%2e%2f", "C:\\owned", "nul", "con", "\x01", "\x7f", "%",
    "\x1b[2J\x1b]0;owned\x07", "\u202egpj.exe", "\u200b", "\ufeff", "e\u0301", "🍐" * 20, " lead", "trail ", "#",
    "?a=b&c",
)  # fmt: skip


def names(count: int, random: Random) -> list[str]:
    """That many different names of files, a third of them meant to harm."""
    found = []
    for number in range(count):
        start = NAMES[random.integers(len(NAMES))] if random.random() < 1 / 3 else ""
        suffix = (".jpg", ".jpg", ".jpg", ".png", ".JPEG")[random.integers(5)]
        found.append(f"{start.replace('/', chr(0x2215))}{number:06d}{suffix}")
    return found


def generated(count: int) -> list[bytes]:
    """Pictures to begin with: JPEG (also progressive, grey, of other sizes) and PNG of every colour type and depth."""
    random = np.random.default_rng(5)
    found = [sample_picture(number % 5, number) for number in range(count)]
    for number in range(max(4, count // 2)):
        height, width = random.integers(1, 90, 2)
        colour = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        options = [cv2.IMWRITE_JPEG_PROGRESSIVE, number % 2, cv2.IMWRITE_JPEG_RST_INTERVAL, int(random.integers(0, 5))]
        options += [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(1, 101))]
        picture = colour if number % 3 else colour[..., 0]
        found.append(cv2.imencode(".jpg", picture, options)[1].tobytes())
        found.append(cv2.imencode(".png", colour if number % 3 else picture)[1].tobytes())
    return found + [png(kind, depth, random) for kind, depths in _DEPTHS.items() for depth in depths]


_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def real(folder: Path, count: int) -> list[bytes]:
    """Pictures of a folder, from all over it."""
    paths = sorted(folder.rglob("*.jpg"))
    return [paths[place].read_bytes() for place in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(kind: int, depth: int, random: Random, interlace: int = 0) -> bytes:
    """A small PNG of a colour type and depth, its palette as large as the depth allows."""
    height, width = (int(side) for side in random.integers(1, 40, 2))
    line = -(-width * _SAMPLES[kind] * depth // 8)
    lines = b"".join(bytes([int(random.integers(5))]) + random.bytes(line) for _ in range(height))
    palette = chunk(b"PLTE", random.bytes(3 << depth)) if kind == 3 else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + palette + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


# ---- what is done to them: bytes in, bytes out


def bits(data: bytes, random: Random) -> bytes:
    """Some bits are flipped, anywhere."""
    found = bytearray(data)
    for place in random.integers(0, max(1, len(found)), random.integers(1, 30)):
        if found:
            found[place % len(found)] ^= 1 << int(random.integers(8))
    return bytes(found)


def header_bits(data: bytes, random: Random) -> bytes:
    """Some bytes of the first 700, where headers and tables are, become others."""
    found = bytearray(data)
    for place in random.integers(0, max(1, min(700, len(found))), random.integers(1, 8)):
        if found:
            found[place % len(found)] = int(random.integers(256))
    return bytes(found)


def cut(data: bytes, random: Random) -> bytes:
    """The end, or the beginning, is missing."""
    place = int(random.integers(0, len(data) + 1))
    return data[:place] if random.random() < 0.8 else data[place:]


def hole(data: bytes, random: Random) -> bytes:
    """A piece is missing, zero, repeated or from elsewhere."""
    start, end = sorted(int(place) for place in random.integers(0, len(data) + 1, 2))
    piece = data[start:end]
    other = (b"", bytes(len(piece)), piece + piece, random.bytes(len(piece)), b"\xff" * len(piece))[random.integers(5)]
    return data[:start] + other + data[end:]


def dimensions(data: bytes, random: Random) -> bytes:
    """The header promises another size."""
    sides = [int(random.choice([0, 1, 2, 7, 99, 101, 5_000, 20_000, 65_535])) for _ in range(2)]
    place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if data.startswith(b"\xff\xd8") and place >= 0:
        return data[: place + 5] + struct.pack(">HH", *sides) + data[place + 9 :]
    if data[12:16] == b"IHDR":
        large = [side * int(random.choice([1, 1, 30_000])) & 0xFFFFFFFF for side in sides]
        head = struct.pack(">II", *large) + data[24:29]
        return data[:12] + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + data[33:]
    return data


def colours(data: bytes, random: Random) -> bytes:
    """Another number of components, other sampling, Adobe's word on colours, or another colour type of a PNG."""
    place = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if data.startswith(b"\xff\xd8") and place >= 0:
        found = bytearray(data)
        for offset in range(9, 19):
            if random.random() < 0.3 and place + offset < len(found):
                found[place + offset] = int(random.choice([0, 1, 2, 3, 4, 0x11, 0x22, 0x41, 0x14, 255]))
        adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([int(random.integers(4))])
        return bytes(found[:2]) + adobe + bytes(found[2:])
    return png(int(random.choice(list(_SAMPLES))), int(random.choice([1, 2, 3, 4, 8, 16])), random, random.integers(2))


def exif(data: bytes, random: Random) -> bytes:
    """An EXIF block that turns the picture, or whose entries lead anywhere."""
    entries = [(0x0112, 3, 1, int(random.integers(0, 12)))]
    entries += [tuple(int(each) for each in random.integers(0, 1 << 16, 4)) for _ in range(int(random.integers(0, 6)))]
    body = struct.pack("<H", len(entries) if random.random() < 0.8 else 0xFFFF)
    body += b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack(
        "<I", int(random.integers(1 << 16))
    )
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8 if random.random() < 0.8 else int(random.integers(1 << 31))) + body
    length = len(block) + 2 if random.random() < 0.8 else int(random.integers(1 << 16))
    if data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xe1" + struct.pack(">H", length) + block + data[2:]
    return data[:33] + chunk(b"eXIf", block[6:]) + data[33:]


def chunks(data: bytes, random: Random) -> bytes:
    """Chunks or segments that nobody expects: text, profiles, animation, lengths that are too large."""
    if data.startswith(b"\x89PNG"):
        kind = (b"tEXt", b"zTXt", b"iCCP", b"acTL", b"fcTL", b"fdAT", b"tRNS", b"PLTE", b"gAMA", b"IDAT")[
            random.integers(10)
        ]
        content = random.bytes(int(random.integers(0, 60)))
        if random.random() < 0.3:  # one that unpacks to 8 MB
            content = b"x\0\0" + zlib.compress(bytes(8 << 20))
        return data[:33] + chunk(kind, content) + data[33:]
    marker = bytes([0xFF, int(random.integers(0xC0, 0x100))])
    segment = marker + struct.pack(">H", int(random.integers(0, 300))) + random.bytes(int(random.integers(0, 300)))
    return data[:2] + segment + data[2:]


def polyglot(data: bytes, random: Random) -> bytes:
    """Something else as well: a page, a program, an archive, a document, a picture of another kind."""
    others = (
        b"<html><script>alert(1)</script>", b"#!/bin/sh\ntouch owned\n", b"PK\x03\x04" + bytes(26), b"%PDF-1.7\n",
        b"MZ\x90\0", b"\x7fELF", b"GIF89a\1\0\1\0", b"RIFF\x10\0\0\0WEBPVP8 ",
        b"<?xml version='1.0'?><svg onload='x'/>", b"<?php system('id'); ?>", b"BM", b"\xff\xd8\xff\xd9",
        b"\x89PNG\r\n\x1a\n",
    )  # fmt: skip
    other = others[random.integers(len(others))]
    way = random.integers(4)
    if way == 0:
        return other + data
    if way == 1:
        return data + other
    if way == 2 and data.startswith(b"\xff\xd8"):
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(other) + 2) + other + data[2:]
    return other


def nothing(data: bytes, random: Random) -> bytes:
    """No picture, or as it was."""
    return (data, b"", random.bytes(int(random.integers(1, 400))), b"\xff\xd8\xff", b"\xff" * 99, bytes(5000))[
        random.integers(6)
    ]


KINDS: tuple[Callable[[bytes, Random], bytes], ...] = (
    bits, header_bits, cut, hole, dimensions, colours, exif, chunks, polyglot, nothing,
)  # fmt: skip


def mutated(count: int, seed: int, originals: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """So many names with contents, each made of one of the originals by one to three changes; the same every time."""
    random = np.random.default_rng(seed)
    for number, name in enumerate(names(count, random)):
        data = originals[random.integers(len(originals))]
        for turn in range(int(random.choice([1, 1, 1, 2, 3]))):
            kind = KINDS[number % len(KINDS)] if not turn else KINDS[random.integers(len(KINDS))]
            data = kind(data, random)
        yield name, data
