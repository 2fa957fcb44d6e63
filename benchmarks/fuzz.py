"""Read damaged files of every kind that rawdrift reads: each ends in a result or an InputError.

    python -m benchmarks.fuzz [INPUTS OF EACH KIND] [KIND ...]

Seeds are fixed. A traceback, 10 seconds of computing, 2 GiB of memory, a file written outside of
its folder, or one outside that gets into a page is a failure, whose input is kept.
"""

import io
import json
import math
import random
import resource
import shutil
import signal
import socketserver
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache, partial
from hashlib import md5, sha256
from pathlib import Path
from typing import Any
from unittest import mock

import imagecodecs
import numpy as np
import tifffile

import rawdrift as rd
from benchmarks import kills
from rawdrift.camera.decode import decode
from rawdrift.cli import main as command
from rawdrift.controls import listing
from rawdrift.controls.evidence.signature import Signature
from rawdrift.data import archive, download, masks, pack, zenodo
from rawdrift.data.manifest import Folder, collect, read_manifest
from rawdrift.runs.spec import read_yaml

SECONDS, MEMORY = 10, 2 << 30
WAITING = 60  # seconds in which others may compute, and servers answer
SECRET = b"a file of the user's"
"""What secret.txt holds, beside the folder that is read."""
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


def _answers() -> bytes:
    """Two answers of a server as they are sent: a record, and the archive that it lists."""
    content = _archive("zip")
    link = {"self": "/files/drone.zip"}
    listed = {"key": "drone.zip", "size": len(content), "links": link}
    record = json.dumps({"files": [listed | {"checksum": f"md5:{md5(content).hexdigest()}"}]})
    head = "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nRetry-After: 9\r\nConnection: close\r\n\r\n"
    parts = (head.format(len(record)) + record).encode(), head.format(len(content)).encode()
    return _NEXT.join((parts[0], parts[1] + content))


class _Handler(socketserver.StreamRequestHandler):
    """Send the bytes of `_answers`, or behave worse, as the server's random numbers have it."""

    timeout = 2

    def handle(self) -> None:
        server: Any = self.server
        asked = self.rfile.readline()
        record, _, file = server.answers.partition(_NEXT)
        answer = file if b"/files/" in asked else record
        worse = server.draws.randrange(12)
        if worse == 0:
            answer = b"HTTP/1.1 302 Found\r\nLocation: /files/again\r\nContent-Length: 0\r\n\r\n"
        elif worse == 1:
            status = server.draws.choice((b"429 Busy", b"503 Busy", b"206 Part", b"416 Beyond"))
            answer = answer.replace(b"200 OK", status)
        elif worse == 2:
            answer = answer[: server.draws.randrange(len(answer) + 1)]
        elif worse == 3:
            answer = answer.replace(b"Content-Length: ", b"Content-Length: 9")
        try:
            self.wfile.write(answer)
            while worse == 4:  # without end
                self.wfile.write(answer + bytes(1 << 16))
            while worse == 5:  # slow
                self.wfile.write(b"x")
                server.over.wait(0.1)
            if worse == 6:
                server.over.wait(1)
        except OSError:  # it was heard enough
            pass


def _fetch(path: Path) -> None:
    content = path.read_bytes()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        told: Any = server
        told.answers, told.draws, told.over = content, random.Random(content), threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        patient = type(download.RETRY)(total=2, status_forcelist=(429, 503), raise_on_status=False)
        limits = {"TIMEOUT": (0.3, 0.3), "ANSWER": 0.6, "WINDOW": 0.2, "RETRY": patient}
        url = f"http://127.0.0.1:{server.server_address[1]}/record"
        try:
            with mock.patch.multiple(download, _LONGEST_WAIT=0, **limits):
                zenodo.fetch("raw-drone", path.parent, url)
        finally:
            told.over.set()
            server.shutdown()


@lru_cache
def _finished(control: str) -> tuple[Any, dict[str, bytes]]:
    """Return the spec of a small run, and the files of its folder."""
    words = [*kills.words(control), "--data.images", "24", "--task.epochs", "1", "--threads", "1"]
    words += ["--optimization.save_networks", "true"] * (control == "optimization")
    with tempfile.TemporaryDirectory() as folder, rd.isp.engine("eager"):
        with _silent() as errors:
            code = command([*words, "--out", folder + "/run"])
        assert code in (0, 1), errors.getvalue()  # so few images are guessed
        run = Path(folder) / "run"
        held = {
            p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()
        }
    return words, held


def _part(control: str, name: str) -> bytes:
    """Return a file of a small run, without the checksum of a record: the first that matches."""
    held = _finished(control)[1]
    content = next(content for path, content in held.items() if Path(path).match(name))
    return json.dumps(json.loads(content)["finished"]).encode() if "*" in name else content


@contextmanager
def _silent() -> Iterator[io.StringIO]:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as errors:
        yield errors


def _in_run(control: str) -> Callable[[Path], None]:
    """Return a function that makes a run folder around a damaged file, and uses it."""

    def use(path: Path) -> None:
        words, held = _finished(control)
        run, draws = path.parent, random.Random(path.read_bytes())
        if path.name == "record":  # one whose checksum is right
            unit = next(name for name in held if name.startswith("records/"))
            body = path.read_bytes()
            checksum = sha256(body).hexdigest().encode()
            held = held | {unit: b'{"checksum":"%s","finished":%s}' % (checksum, body)}
            path.unlink()
        for name, content in held.items():
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            if not (run / name).exists():
                (run / name).write_bytes(content)
        if draws.random() < 0.2:
            place = run / draws.choice(["figures", "samples", "records", "tables", "results.csv"])
            shutil.move(place, run / "moved")
            place.symlink_to(draws.choice([run.parent, run.parent / "secret.txt", run / "moved"]))
        listing.lines(listing.runs(run.parent))
        out, spec = str(run / "a.onnx"), str(run / "spec.yaml")
        uses = {
            "summary.json": [["report", str(run), "--zip"]],
            "spec.yaml": [
                ["export", str(run), "learned-fold1", "--out", out],
                [control, "--config", spec, "--dry_run", "--out", str(run / "new")],
            ],
            "record": [[*words, "--out", str(run)]],
        }
        for arguments in uses[path.name]:
            allowed = [] if arguments[0] == "report" else ["--allow_import", _NETWORK]
            with rd.isp.engine("eager"), _silent() as errors:
                code = command([*arguments, *allowed])
            if code not in (0, 1, 2):
                raise AssertionError(f"{arguments[0]} ends with {code}: {errors.getvalue()[-900:]}")
        page = run / "report.html"
        if page.exists() and SECRET in page.read_bytes():
            raise AssertionError("the page shows a file from outside")

    return use


_NETWORK = "import:benchmarks.kills.network"
_NEXT = b"\n--- next answer ---\n"
_MANIFEST = b"image,label,mask,group\na.npy,cat,b.npy,1\n./a.npy,dog,b.npy,2\n"
_YAML = b"data: {name: synthetic-microscopy}\nsynthesis:\n  folds: 2\n  test: ['bi,s,ga']\n"
_INDEX = {
    "format": "rawdrift-pack", "version": 1, "shape": [1, 24, 26], "dtype": "uint16",
    "files": {"mosaics.tif": {"bytes": 1504, "sha256": "0" * 64}},
}  # fmt: skip
_SIGNATURE = {"format": "rawdrift-signature", "version": 1, "camera": {}, "envelope": [[1.0, 2]]}

Kind = tuple[str, Callable[[], bytes], Callable[[Path], object]]
"""What a file is called, what is damaged, and what reads it."""

KINDS: dict[str, Kind] = {
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
    "server": ("answers", _answers, _fetch),
}
KINDS_OF_RUNS: dict[str, Kind] = {
    f"{control} {name}": (
        name,
        partial(_part, control, "records/*.json" if name == "record" else name),
        _in_run(control),
    )
    for control in kills.SETTINGS
    for name in ("summary.json", "spec.yaml", "record")
}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Return content with a few bytes, runs or numbers changed, doubled, cut or removed."""
    if content[:1] == b"{" and rng.random() < 0.7:
        return _damaged_json(json.loads(content), rng)
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


_HOSTILE = (
    None, True, -1, 0, 1, 1e308, 10**30, math.nan, "", "../secret.txt", "../../secret.txt",
    "/etc/hostname", "import:os.system", "<script>", "=cmd()", "\0", "\ud800", "x" * 5000, [], {},
    [[[]]], {"a": None},
)  # fmt: skip


def _damaged_json(tree: Any, rng: random.Random) -> bytes:
    """Return JSON with a few values replaced, removed, repeated or put elsewhere."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        spot, key = tree, ""
        held: Any = tree
        while isinstance(held, dict | list) and held and (held is tree or rng.random() < 0.85):
            spot, key = held, rng.choice([*held] if isinstance(held, dict) else range(len(held)))
            held = spot[key]
        change = rng.randrange(5)
        if spot[key:] if isinstance(spot, list) else key in spot:
            if change == 0:
                del spot[key]
            elif change == 1 and isinstance(spot[key], list):
                spot[key] = spot[key] * rng.choice((0, 2, 20))
            elif change == 2:
                spot[key] = spot[
                    rng.choice([*spot] if isinstance(spot, dict) else range(len(spot)))
                ]
            else:
                spot[key] = rng.choice(_HOSTILE)
    return json.dumps(tree).encode()


def campaign(count: int, seed: int = 0, kinds: Mapping[str, Kind] = KINDS) -> list[str]:
    """Read `count` damaged files of each kind. Return what is wrong, a line each."""
    wrong = []
    for kind, (name, make, read) in kinds.items():
        content = make()
        for number in range(count):
            made = damaged(content, random.Random(f"{seed} {kind} {number}"))
            with tempfile.TemporaryDirectory() as outer:
                folder, secret = Path(outer) / "folder", Path(outer) / "secret.txt"
                folder.mkdir()
                secret.write_bytes(SECRET)
                (folder / name).write_bytes(made)
                what = _outcome(read, folder / name)
                outside = {path for path in Path(outer).iterdir() if path.suffix != ".zip"}
                if outside != {folder, secret} or secret.read_bytes() != SECRET:
                    what = "a file was written outside of the folder"
            if what is not None:
                kept = Path(tempfile.gettempdir()) / f"fuzz-{seed}-{kind}-{number}-{name}"
                kept.write_bytes(made)
                wrong.append(f"{kind} {number}: {what} ({kept})")
    return wrong


def _outcome(read: Callable[[Path], object], path: Path) -> str | None:
    """Return what is wrong with reading a file, None if it is read or refused."""

    def late(*_: object) -> None:
        raise TimeoutError(f"no end in {SECONDS} s of computing, or {WAITING} s in all")

    before = [signal.signal(sign, late) for sign in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAITING)
    try:
        read(path)
    except rd.InputError as error:
        return f"a message of {len(str(error))} characters" if len(str(error)) > 3000 else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for sign, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(sign, handler)
    return None


def main() -> None:
    """Run the campaign in bounded memory."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    every = {**KINDS, **KINDS_OF_RUNS}
    kinds = {name: every[name] for name in sys.argv[2:] or every}
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))  # MemoryError beyond
    wrong = campaign(count, kinds=kinds)
    for line in wrong:
        print(line)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{count * len(kinds)} inputs, {len(wrong)} failures, at most {used} MiB")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
