"""Read damaged files of every kind that rawdrift reads: each ends in a result or an InputError.

    python -m benchmarks.fuzz [INPUTS OF EACH KIND]

Seeds are fixed. A traceback, 10 seconds, 2 GiB of memory, or a file written outside of the folder
of an archive is a failure, whose input is kept.
"""

import io
import json
import random
import resource
import signal
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

import rawdrift as rd
from rawdrift.camera.decode import decode
from rawdrift.controls.evidence.signature import Signature
from rawdrift.data import archive, masks, pack
from rawdrift.data.manifest import Folder, collect, read_manifest
from rawdrift.runs.spec import read_yaml

SECONDS, MEMORY = 10, 2 << 30
PIXELS = np.random.default_rng(0).integers(0, 4096, (24, 26)).astype(np.uint16)


def _tiff(**options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, PIXELS, **options)
    return file.getvalue()


def _dng() -> bytes:
    matrix = tuple(part for i in range(9) for part in (10000 * (i % 4 == 0) + 500, 10000))
    tags = [
        (271, 2, 5, "Test", True), (33421, 3, 2, (2, 2), True), (33422, 1, 4, (0, 1, 1, 2), True),
        (50706, 1, 4, (1, 4, 0, 0), True), (50713, 3, 2, (2, 2), True),
        (50714, 4, 4, (64, 65, 66, 67), True), (50716, 10, 24, (1, 1) * 24, True),
        (50717, 4, 1, 4095, True), (50721, 10, 9, matrix, True), (50778, 3, 1, 21, True),
        (50829, 4, 4, (0, 0, 24, 26), True), (51041, 12, 2, (1e-4, 1e-7), True),
    ]  # fmt: skip
    return _tiff(photometric=32803, extratags=tags, metadata=None)


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, PIXELS)
    return file.getvalue()


def _archive(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
            for name in ("a/1.txt", "a/2.txt"):
                opened.writestr(name, b"content" * 50)
    else:
        with tarfile.open(fileobj=file, mode=f"w:{kind}", format=tarfile.GNU_FORMAT) as opened:
            for name in ("a/1.txt", "a/" + "long" * 60):
                member = tarfile.TarInfo(name)
                member.size = 350
                opened.addfile(member, io.BytesIO(b"content" * 50))
    return file.getvalue()


def _isp() -> bytes:
    camera = rd.Camera.load("raw-drone")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "isp.toml"
        rd.isp.save(rd.isp.static("bi,s,ga", camera), path, camera)
        return path.read_bytes()


def _unpack(path: Path) -> None:
    scratch, target = path.parent / "scratch", path.parent / "target"
    scratch.mkdir()
    archive.unpack(path, target, scratch)


def _in_folder(path: Path) -> None:
    """Read the manifest with its file, twice its own image and mask."""
    np.save(path.parent / "a.npy", PIXELS)
    np.save(path.parent / "b.npy", PIXELS > 99)
    rd.Camera.load("raw-drone").save(path.parent / "camera.toml")
    read_manifest(path)
    collect(Folder(path.parent))


def _store(path: Path) -> None:
    tifffile.imwrite(path.parent / "mosaics.tif", PIXELS[None])
    pack.load(path.parent)


_MANIFEST = b"image,label,mask,group\na.npy,cat,b.npy,1\n./a.npy,dog,b.npy,2\n"
_YAML = b"data: {name: synthetic-microscopy}\nsynthesis:\n  folds: 2\n  test: ['bi,s,ga']\n"
_INDEX = {
    "format": "rawdrift-pack", "version": 1, "shape": [1, 24, 26], "dtype": "uint16",
    "files": {"mosaics.tif": {"bytes": 1504, "sha256": "0" * 64}},
}  # fmt: skip
_SIGNATURE = {"format": "rawdrift-signature", "version": 1, "camera": {}, "envelope": [[1.0, 2]]}

KINDS: dict[str, tuple[str, Callable[[], bytes], Callable[[Path], object]]] = {
    "TIFF": ("a.tif", lambda: _tiff(rowsperstrip=5), decode),
    "tiles": ("a.tif", lambda: _tiff(tile=(16, 16), compression="zlib", predictor=True), decode),
    "LZW": ("a.tif", lambda: _tiff(compression="lzw", byteorder=">"), decode),
    "BigTIFF": ("a.tif", lambda: _tiff(bigtiff=True, compression="zstd"), decode),
    "DNG": ("a.dng", _dng, rd.read_raw),
    "PNG": ("a.png", lambda: bytes(imagecodecs.png_encode(PIXELS)), decode),
    "NPY": ("a.npy", _npy, decode),
    "raw": ("a.nef", _dng, decode),
    "mask TIFF": ("a.tif", lambda: _tiff(compression="packbits"), masks.read),
    "mask PNG": ("a.png", lambda: bytes(imagecodecs.png_encode(PIXELS.astype("u1"))), masks.read),
    "manifest": ("manifest.csv", lambda: _MANIFEST, _in_folder),
    "camera": ("a.toml", lambda: rd.Camera.load("raw-drone").to_toml().encode(), rd.Camera.load),
    "ISP": ("a.toml", _isp, rd.isp.load),
    "YAML": ("a.yaml", lambda: _YAML, read_yaml),
    "signature": ("a.json", lambda: json.dumps(_SIGNATURE).encode(), Signature.load),
    "store": ("pack.json", lambda: json.dumps(_INDEX).encode(), _store),
    "zip": ("a.zip", lambda: _archive("zip"), _unpack),
    "tar": ("a.tar", lambda: _archive(""), _unpack),
    "tar.gz": ("a.tar.gz", lambda: _archive("gz"), _unpack),
}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return content with a few bytes, runs or numbers changed, doubled, cut or removed."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at, size = rng.randrange(len(made) + 1), rng.choice((1, 1, 2, 4, 8, 64))
        change = rng.randrange(6)
        if change == 0:
            made[at : at + size] = rng.randbytes(size)
        elif change == 1:
            made[at : at + size] = rng.choice((b"\0", b"\xff", b"\x7f", b"9", b"[", b"/")) * size
        elif change == 2:
            del made[at : at + size]
        elif change == 3:
            made[at:at] = made[at : at + size] * rng.choice((1, 2, 50))
        elif change == 4 and rng.random() < 0.3:
            del made[at:]
        elif at < len(made):
            made[at] ^= 1 << rng.randrange(8)
    return bytes(made)


def campaign(count: int, seed: int = 0) -> list[str]:
    """Read `count` damaged files of each kind. Return what is wrong, a line each."""
    wrong = []
    for kind, (name, make, read) in KINDS.items():
        content = make()
        for number in range(count):
            made = damaged(content, random.Random(f"{seed} {kind} {number}"))
            with tempfile.TemporaryDirectory() as outer:
                folder = Path(outer) / "folder"
                folder.mkdir()
                (folder / name).write_bytes(made)
                what = _outcome(read, folder / name)
                if what is None and [*Path(outer).iterdir()] != [folder]:
                    what = "a file was written outside of the folder"
            if what is not None:
                kept = Path(tempfile.gettempdir()) / f"fuzz-{seed}-{kind}-{number}-{name}"
                kept.write_bytes(made)
                wrong.append(f"{kind} {number}: {what} ({kept})")
    return wrong


def _outcome(read: Callable[[Path], object], path: Path) -> str | None:
    """Return what is wrong with reading a file, None if it is read or refused."""

    def late(*_: object) -> None:
        raise TimeoutError(f"no end in {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        read(path)
    except rd.InputError as error:
        return f"a message of {len(str(error))} characters" if len(str(error)) > 3000 else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return None


def main() -> None:
    """Run the campaign in bounded memory."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))  # MemoryError beyond
    wrong = campaign(count)
    for line in wrong:
        print(line)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{count * len(KINDS)} inputs, {len(wrong)} failures, at most {used} MiB")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
