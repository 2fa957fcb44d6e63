"""Fetching from a record that a server on this machine plays, with all that can go wrong."""

import hashlib
import io
import json
import logging
import re
import shutil
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import urllib3
from filelock import FileLock
from urllib3.util import Retry

import rawdrift as rd
from rawdrift.cli import main
from rawdrift.data import download, load, zenodo
from rawdrift.data.archive import unpack
from rawdrift.data.spec import Data

from conftest import published_drone, published_microscopy

FILLER = np.random.default_rng(0).bytes(400_000)  # so that archives take more than one piece


class Server:
    """Serves a record and its files. faults: for a path, what to do at the next requests in turn.

    A fault is a status, "cut" (close the connection half-way), or "whole" (know no ranges).
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list] = {}
        self.asked: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.record = f"{self.url}/api/records/5235536"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def hold(self, entries=None, **archives):
        """Hold these files, and a record of them as Zenodo's REST API gives it."""
        for name, content in archives.items():
            self.files[f"/files/{name.replace('__', '.')}"] = content
        if entries is None:
            entries = [self.entry(Path(path).name) for path in self.files if "files" in path]
        record = {"id": 5235536, "doi": "10.5281/zenodo.5235536", "files": entries}
        self.files["/api/records/5235536"] = json.dumps(record).encode()

    def entry(self, name, **changes):
        content = self.files[f"/files/{name}"]
        return {
            "id": "00000000-0000-0000-0000-000000000000",
            "key": name,
            "size": len(content),
            "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
            "links": {"self": f"{self.url}/files/{name}"},
        } | changes

    def ranges(self, name):
        return [ranged for path, ranged in self.asked if path == f"/files/{name}"]

    def answer(self, request):
        ranged = request.headers["Range"]
        self.asked.append((request.path, ranged))
        faults = self.faults.get(request.path, [])
        fault = faults.pop(0) if faults else None
        content = self.files.get(request.path)
        if isinstance(fault, int) or content is None:
            request.send_response(fault or 404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int(ranged.removeprefix("bytes=")[:-1]) if ranged and fault != "whole" else 0
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(content) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        rest = content[start:]
        request.wfile.write(rest[: len(rest) // 2] if fault == "cut" else rest)
        request.close_connection = fault == "cut"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(
        download,
        "RETRY",
        Retry(total=2, connect=0, status_forcelist=(429, 500, 503), raise_on_status=False),
    )
    level = logging.getLogger("pooch").level
    served = Server()
    yield served
    served.http.shutdown()
    served.http.server_close()
    logging.getLogger("pooch").setLevel(level)


def zipped(folder: Path, prefix="") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{prefix}{'' if prefix else folder.name + '/'}README.bin", FILLER)
        for path in sorted(folder.rglob("*")):
            archive.write(
                path, prefix + path.relative_to(folder if prefix else folder.parent).as_posix()
            )
    return made.getvalue()


def tarred(folder: Path, mode="w:gz") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        archive.add(folder, arcname=folder.name)
    return made.getvalue()


@pytest.fixture(scope="module")
def microscopy(tmp_path_factory):
    return zipped(published_microscopy(tmp_path_factory.mktemp("a"), scales=(100, 25)))


@pytest.fixture(scope="module")
def drone(tmp_path_factory):
    return tarred(published_drone(tmp_path_factory.mktemp("b"), "data/drone"))


def command(name, root, url):
    return main(["data", "fetch", name, "--root", str(root), "--url", url])


def files_below(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_fetch_then_load_through_the_command_line(server, microscopy, drone, tmp_path, capsys):
    server.hold(microscopy__zip=microscopy, drone__tar__gz=drone, README__md=b"hello")
    for name, count in (("raw-microscopy", 46), ("raw-drone", 6)):
        assert command(name, tmp_path, server.record) == 0
        assert f"{name} is in {tmp_path}" in capsys.readouterr().out
        assert len(load(Data(name, str(tmp_path)))) == count
    assert int(load(Data("raw-microscopy", str(tmp_path), 0.25)).mosaics[3, 0, 0]) == 7500
    # Nothing but the dataset stays, and what is not needed has not been fetched.
    assert {path.name for path in tmp_path.iterdir()} == {"microscopy", "drone"}
    assert server.ranges("README.md") == []
    asked = len(server.asked)
    assert command("raw-microscopy", tmp_path, server.record) == 0
    assert "already, nothing is done" in capsys.readouterr().out
    assert len(server.asked) == asked


def test_a_broken_connection_goes_on_where_it_broke(server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy)
    server.faults["/files/microscopy.zip"] = ["cut", "cut"]
    assert zenodo.fetch("raw-microscopy", tmp_path, server.record)
    first, second, third = server.ranges("microscopy.zip")
    assert first is None
    assert 0 < int(second[6:-1]) < int(third[6:-1]) < len(microscopy)
    assert (tmp_path / "microscopy/README.bin").read_bytes() == FILLER


@pytest.mark.parametrize("again", [None, "whole", 416])
def test_a_killed_command_goes_on_where_it_was(again, server, microscopy, tmp_path, capsys):
    server.hold(microscopy__zip=microscopy)
    server.faults["/files/microscopy.zip"] = ["cut", 404]
    assert command("raw-microscopy", tmp_path, server.record) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the server answers 404" in error
    assert f"of {len(microscopy)} bytes are kept" in error
    server.faults["/files/microscopy.zip"] = [again]
    assert zenodo.fetch("raw-microscopy", tmp_path, server.record)
    assert int(server.ranges("microscopy.zip")[2][6:-1]) > 0
    assert len(server.ranges("microscopy.zip")) == (4 if again == 416 else 3)
    assert (tmp_path / "microscopy/README.bin").read_bytes() == FILLER


def test_a_server_that_always_breaks_off_is_given_up(server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy[:1000])
    server.faults["/files/microscopy.zip"] = ["cut"] * 100
    with pytest.raises(
        rd.InputError, match="microscopy.zip can't be downloaded: .*875 of 1000 bytes"
    ):
        zenodo.fetch("raw-microscopy", tmp_path, server.record)
    assert 3 <= len(server.asked) < 20


def test_a_wrong_checksum_is_refused_and_not_kept(server, microscopy, tmp_path, capsys):
    server.hold(microscopy__zip=microscopy)
    server.files["/files/microscopy.zip"] = microscopy[:-1] + b"!"
    assert command("raw-microscopy", tmp_path, server.record) == 2
    error = capsys.readouterr().err
    assert "microscopy.zip from" in error
    assert "does not have the checksum md5:" in error
    assert not any(".zip" in name or ".part" in name for name in files_below(tmp_path))
    server.files["/files/microscopy.zip"] = microscopy
    assert command("raw-microscopy", tmp_path, server.record) == 0


@pytest.mark.parametrize("path", ["/files/microscopy.zip", "/api/records/5235536"])
def test_a_busy_server_is_asked_again_and_a_broken_one_is_named(path, server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy)
    server.faults[path] = [500] * 3
    with pytest.raises(rd.InputError, match=f"{path} can't be .*: the server answers 500"):
        zenodo.fetch("raw-microscopy", tmp_path, server.record)
    server.faults[path] = [503, 429]
    assert zenodo.fetch("raw-microscopy", tmp_path, server.record)


def test_a_server_that_starts_over_again_and_again_is_given_up(server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy)
    server.faults["/files/microscopy.zip"] = ["cut", 416] * 20
    with pytest.raises(rd.InputError, match="can't be downloaded"):
        zenodo.fetch("raw-microscopy", tmp_path, server.record)


def test_more_than_the_record_declares_is_refused(server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy)
    server.hold([server.entry("microscopy.zip", size=1000)])
    with pytest.raises(rd.InputError, match="sends more than the 1000 bytes"):
        zenodo.fetch("raw-microscopy", tmp_path, server.record)


def test_without_network_the_way_by_hand_is_told(server, microscopy, tmp_path, capsys):
    server.http.shutdown()
    server.http.server_close()
    assert command("raw-microscopy", tmp_path / "new", server.record) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for part in (
        f"{server.record} can't be read: no connection to the server. By hand: get the files from "
        f"https://doi.org/10.5281/zenodo.5235536 and unpack them, so that {tmp_path / 'new'} holds "
        f"microscopy/labels/Ma190c_annotations.dat and microscopy/images/raw_scale100/*.tiff",
    ):
        assert part in error
    assert files_below(tmp_path) == set()
    # So done, there is nothing to fetch.
    published_microscopy(tmp_path / "new", "downloads/microscopy")
    assert command("raw-microscopy", tmp_path / "new", server.record) == 0


RECORDS = {
    "html": (b"<html>", "is not a record of Zenodo: it is not JSON"),
    "list": (b"[1]", "expected files with key, size, checksum"),
    "restricted": (b'{"id": 1}', "expected files with"),
    "empty": (b'{"files": []}', "lists no files"),
    "no size": (b'{"files": [{"key": "a", "checksum": "md5:0", "links": {"self": "/a"}}]}', "expected files with"),
    "no sum": (b'{"files": [{"key": "a", "size": 1, "checksum": "md5:0", "links": {"self": "/a"}}]}', "gives a the checksum 'md5:0'"),
    "path": (b'{"files": [{"key": "../a", "size": 1, "checksum": "md5:0", "links": {"self": "/a"}}]}', "named '../a'; expected a plain"),
    "hidden": (b'{"files": [{"key": ".bashrc", "size": 1, "checksum": "md5:0", "links": {"self": "/a"}}]}', "named '.bashrc'"),
    "local": (b'{"files": [{"key": "a", "size": 1, "checksum": "md5:0", "links": {"self": "file:///etc/passwd"}}]}', "expected http"),
    "negative": (b'{"files": [{"key": "a", "size": -1, "checksum": "md5:00000000000000000000000000000000", "links": {"self": "/a"}}]}', "size -1"),
}  # fmt: skip


@pytest.mark.parametrize("record", RECORDS)
def test_what_is_no_record_is_refused(record, server, tmp_path):
    content, message = RECORDS[record]
    server.files["/api/records/5235536"] = content
    with pytest.raises(rd.InputError, match=message):
        zenodo.fetch("raw-drone", tmp_path, server.record)
    assert files_below(tmp_path) == set()


def test_records_of_inveniordm_and_of_mirrors(server, drone, tmp_path):
    server.hold(drone__tar__gz=drone)
    entry = server.entry("drone.tar.gz")
    links = {"self": f"{server.url}/metadata", "content": "../../files/drone.tar.gz"}
    server.hold({"enabled": True, "entries": {"drone.tar.gz": entry | {"links": links}}})
    assert zenodo.fetch("raw-drone", tmp_path, server.record)


def test_files_that_name_no_dataset_are_tried_after_those_that_do(
    server, microscopy, drone, tmp_path
):
    server.hold(drone_readme__txt=b"see data", data__zip=microscopy, more__tar__gz=drone)
    assert zenodo.fetch("raw-drone", tmp_path, server.record)
    assert (tmp_path / "drone_readme.txt").read_bytes() == b"see data"
    assert len(load(Data("raw-drone", str(tmp_path)))) == 6
    assert not zenodo.fetch("raw-microscopy", tmp_path, server.record)


def test_a_record_without_the_dataset_says_what_was_expected(server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy)
    with pytest.raises(
        rd.InputError, match="does not hold Raw-Drone; expected drone/images_tiles_256"
    ):
        zenodo.fetch("raw-drone", tmp_path, server.record)
    assert server.ranges("microscopy.zip") == []


def test_archives_within_an_archive_are_unpacked_where_they_are(server, tmp_path):
    """As the authors' own code finds them: images/raw_scale100.zip, with a folder in it or not."""
    base = published_microscopy(tmp_path / "made", scales=(100, 25))
    for scale, prefix in (("100", "raw_scale100/"), ("025", "/")):
        folder = base / f"images/raw_scale{scale}"
        inner = zipped(folder, prefix if scale == "100" else "./")
        shutil.rmtree(folder)
        (base / f"images/raw_scale{scale}.zip").write_bytes(inner)
    server.hold(microscopy__zip=zipped(base, "./"))  # without one folder at its top
    root = tmp_path / "root"
    assert zenodo.fetch("raw-microscopy", root, server.record)
    for intensity in (1.0, 0.25):
        assert len(load(Data("raw-microscopy", str(root), intensity))) == 46
    assert not [name for name in files_below(root) if name.endswith(".zip")]


def test_two_processes_do_not_fetch_into_one_folder(server, drone, tmp_path):
    server.hold(drone__tar__gz=drone)
    with (
        FileLock(tmp_path / ".fetch-raw-drone.lock"),
        pytest.raises(rd.InputError, match="another process is fetching"),
    ):
        zenodo.fetch("raw-drone", tmp_path, server.record)


def test_a_disk_that_is_too_small_is_noticed_first(server, drone, tmp_path):
    server.hold(drone__tar__gz=drone)
    server.hold([server.entry("drone.tar.gz", size=10**18)])
    with pytest.raises(rd.InputError, match="has room for .* GB, but .* 1000000000.0 GB"):
        zenodo.fetch("raw-drone", tmp_path, server.record)
    assert server.ranges("drone.tar.gz") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "fetch", "raw-micro", "--root", "x"], "unknown dataset 'raw-micro'.*raw-microscopy; raw-drone"),
        (["data", "fetch", "raw-drone"], "--root is missing"),
        (["data"], "ACTION is missing; choose one of fetch; pack"),
    ],
)  # fmt: skip
def test_wrong_commands_say_what_is_right(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert list(Path().iterdir()) == []
    assert re.search(message, error)


def a_zip(path, *entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = compression
            archive.writestr(info, content)
    return path


def a_tar(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


FILE, PLAIN = stat.S_IFREG | 0o644, tarfile.REGTYPE
HOSTILE = {
    "zip dots": (lambda p: a_zip(p / "a.zip", ("ok", "x", FILE), ("../evil", "x", FILE)), "outside"),
    "zip deep dots": (lambda p: a_zip(p / "a.zip", ("a/../../evil", "x", FILE)), "outside"),
    "zip backslash": (lambda p: a_zip(p / "a.zip", ("..\\evil", "x", FILE)), "outside"),
    "zip absolute": (lambda p: a_zip(p / "a.zip", ("/tmp/evil", "x", FILE)), "outside"),
    "zip drive": (lambda p: a_zip(p / "a.zip", ("C:evil", "x", FILE)), "outside"),
    "zip link": (lambda p: a_zip(p / "a.zip", ("l", "/etc", stat.S_IFLNK | 0o777), ("l/evil", "x", FILE)), "'l', a link or device"),
    "zip bomb": (lambda p: a_zip(p / "a.zip", ("a", bytes(1 << 22), FILE)), "more than 100 times"),
    "zip of bombs": (lambda p: a_zip(p / "a.zip", ("b.zip", a_zip(p / "b.zip", ("a", bytes(1 << 22), FILE)).read_bytes(), FILE)), "b.zip unpacks to more"),
    "zip encrypted": (lambda p: encrypted(a_zip(p / "a.zip", ("a", "x", FILE))), "is encrypted"),
    "zip twice": (lambda p: a_zip(p / "a.zip", ("a", "x", FILE), ("./a", "y", FILE)), "'./a' twice"),
    "zip clash": (lambda p: a_zip(p / "a.zip", ("a", "x", FILE), ("a/b", "y", FILE)), "'a/b' twice"),
    "zip cut": (lambda p: cut(a_zip(p / "a.zip", ("a", FILLER, FILE))), "can't be unpacked"),
    "zip damaged": (lambda p: damage(a_zip(p / "a.zip", ("a", FILLER, FILE), compression=zipfile.ZIP_STORED)), "can't be unpacked.*CRC"),
    "zip lies": (lambda p: lie(a_zip(p / "a.zip", ("a", b"x" * 500, FILE))), "can't be unpacked|another size"),
    "tar dots": (lambda p: a_tar(p / "a.tgz", ("../evil", b"x", PLAIN, "")), "outside"),
    "tar absolute": (lambda p: a_tar(p / "a.tgz", ("/tmp/evil", b"x", PLAIN, "")), "outside"),
    "tar link": (lambda p: a_tar(p / "a.tgz", ("l", b"", tarfile.SYMTYPE, "/etc"), ("l/evil", b"x", PLAIN, "")), "'l', a link"),
    "tar hard link": (lambda p: a_tar(p / "a.tgz", ("l", b"", tarfile.LNKTYPE, "/etc/passwd")), "'l', a link"),
    "tar device": (lambda p: a_tar(p / "a.tgz", ("null", b"", tarfile.CHRTYPE, "")), "'null', a link or device"),
    "tar pipe": (lambda p: a_tar(p / "a.tgz", ("p", b"", tarfile.FIFOTYPE, "")), "'p', a link or device"),
    "tar bomb": (lambda p: a_tar(p / "a.txz", ("a", bytes(1 << 22), PLAIN, ""), mode="w:xz"), "more than 100 times"),
    "tar cut": (lambda p: cut(a_tar(p / "a.tgz", ("a", FILLER, PLAIN, ""))), "can't be unpacked"),
    "no archive": (lambda p: (p / "a.tar").write_bytes(FILLER) and p / "a.tar", "can't be unpacked"),
}  # fmt: skip


def cut(path):
    path.write_bytes(path.read_bytes()[:-150_000])
    return path


def damage(path):
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    return path


def encrypted(path):
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    return path


def lie(path):
    """Declares fewer bytes than there are."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\1\2") + 24] -= 100
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_or_broken_archive_leaves_nothing(case, tmp_path):
    make, message = HOSTILE[case]
    (tmp_path / "archives").mkdir()
    archive = make(tmp_path / "archives")
    target, scratch = tmp_path / "home/target", tmp_path / "home/scratch"
    target.mkdir(parents=True)
    scratch.mkdir()
    with pytest.raises(rd.InputError, match=message):
        unpack(archive, target, scratch)
    assert files_below(tmp_path / "home") == set()
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "evil").exists()
    assert not Path("/tmp/evil").exists()


def test_a_hostile_archive_from_a_record_ends_in_one_line(server, tmp_path, capsys):
    archive = a_zip(tmp_path / "a.zip", ("../../evil", "x", FILE)).read_bytes()
    server.hold(microscopy__zip=archive)
    root = tmp_path / "home/root"
    assert command("raw-microscopy", root, server.record) == 2
    error = capsys.readouterr().err
    assert "microscopy.zip holds '../../evil', a path that leads outside" in error
    assert error.count("\n") == 1
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"root"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_kind_of_tar_is_unpacked_beside_what_is_there(mode, tmp_path):
    name = "a.tar" + mode[1:].replace(":", ".")
    archive = a_tar(
        tmp_path / name, ("d/", b"", tarfile.DIRTYPE, ""), ("d/f", FILLER, PLAIN, ""), mode=mode
    )
    (tmp_path / "to/d").mkdir(parents=True)
    (tmp_path / "to/d/f").write_bytes(FILLER)  # of an attempt that was killed
    (tmp_path / "to/d/other").write_text("stays")
    told = []
    unpack(archive, tmp_path / "to", tmp_path, told.append)
    assert (tmp_path / "to/d/f").read_bytes() == FILLER
    assert files_below(tmp_path / "to") == {"d/f", "d/other"}
    assert sum(told) == len(FILLER)


@pytest.mark.parametrize("what", ["file", "folder link", "work folder", "work link", "lock"])
def test_nothing_of_the_users_is_replaced_or_removed(what, server, microscopy, tmp_path, capsys):
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    other.mkdir()
    mine = {
        "file": root / "microscopy/README.bin",
        "work folder": root / ".fetch-raw-microscopy/notes.txt",
        "lock": root / ".fetch-raw-microscopy.lock",
    }.get(what, other / "notes.txt")
    mine.parent.mkdir(exist_ok=True)
    mine.write_bytes(b"mine")
    if what == "folder link":
        (root / "microscopy").symlink_to(other)
    if what == "work link":
        (root / ".fetch-raw-microscopy").symlink_to(other)
    server.hold(microscopy__zip=microscopy)
    code = command("raw-microscopy", root, server.record)
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == ((0, 0) if what == "work folder" else (2, 1)), error
    assert mine.read_bytes() == b"mine"
    assert [path.name for path in other.iterdir()] == ["notes.txt"] * ("link" in what)


def test_what_macos_adds_is_left_out(tmp_path):
    archive = a_zip(
        tmp_path / "a.zip",
        ("d/f", "x", FILE),
        ("__MACOSX/d/._f", "x", FILE),
        ("d/.DS_Store", "x", FILE),
    )
    unpack(archive, tmp_path / "to", tmp_path)
    assert files_below(tmp_path / "to") == {"d/f"}


WAITS = (
    "soon",
    "-5",
    "1" * 5000,
    "99999999999",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "1e9",
    "0x10",
    "",
)


@pytest.mark.parametrize("wait", WAITS)
def test_a_busy_server_is_obeyed_within_reason(wait):
    response = urllib3.HTTPResponse(status=503, headers={"Retry-After": wait})
    assert 0 <= (download.RETRY.get_retry_after(response) or 0) <= 60


@pytest.mark.parametrize("size", [-1, 1 << 70, 10**400])
def test_a_record_with_an_impossible_size_is_refused(size, server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy)
    server.hold([server.entry("microscopy.zip", size=size)])
    with pytest.raises(rd.InputError, match="the size"):
        zenodo.fetch("raw-microscopy", tmp_path, server.record)


@pytest.mark.parametrize("name", ["a\x1b[2J", "\ud800", "x" * 300, "a\nb"])
def test_a_record_with_a_name_that_is_no_file_s_is_refused(name, server, microscopy, tmp_path):
    server.hold(microscopy__zip=microscopy)
    server.hold([server.entry("microscopy.zip", key=name)])
    with pytest.raises(rd.InputError, match="expected a plain file name"):
        zenodo.fetch("raw-microscopy", tmp_path, server.record)


def test_a_record_without_end_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MOST_TEXT", 1 << 20)
    server.files["/api/records/5235536"] = b" " * (2 << 20)
    with pytest.raises(rd.InputError, match="sends more than 1 MiB"):
        zenodo.fetch("raw-drone", tmp_path, server.record)
