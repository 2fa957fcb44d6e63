"""Fetch the published datasets from their Zenodo record.

pooch checks the files and puts them into place. The record is read here, because pooch knows
neither mirrors nor retries, and trusts the names in a record.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import pooch
import requests
from filelock import Timeout

from rawdrift import files, progress
from rawdrift.checks import InputError, choose
from rawdrift.data import raw_drone, raw_microscopy
from rawdrift.data.archive import SCRATCH, is_archive, unpack
from rawdrift.data.download import Resuming, explain, get, open_session, text

RECORD = "https://zenodo.org/api/records/5235536"
FILES = "files"  # the folder, in that of a fetch, of what is downloaded
_PAGE = "https://doi.org/10.5281/zenodo.5235536"

# Parts of the names of a dataset's files: the names in the record are not known here.
_WORDS = {
    "raw-microscopy": ("microscop", "histopath", "whitecell", "ma190c"),
    "raw-drone": ("drone", "dji"),
}
_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}  # of checksums
_LONG = 150  # bytes of a file name, to which ours add
_HUGE = 1 << 60  # bytes
_DATASETS: dict[str, ModuleType] = {"raw-microscopy": raw_microscopy, "raw-drone": raw_drone}


class RemoteFile(NamedTuple):
    """A file of a record. checksum: as "md5:...". size: bytes."""

    name: str
    size: int
    checksum: str
    url: str


def fetch(dataset: str, root: Path, record: str = RECORD) -> bool:
    """Fetch "raw-microscopy" or "raw-drone" into a folder, in the authors' layout.

    Downloads the files of the Zenodo record that may hold the dataset, checks and unpacks them. If
    it is interrupted, the next call resumes. Returns False if the dataset is there already.

    record: URL of the record's metadata, as Zenodo's REST API gives them (JSON). Links in it may be
        relative to that URL.

    Raises InputError if the record or a file can't be downloaded, is not what the record declares,
    or does not hold the dataset. The message says how to fetch it by hand.
    """
    choose("dataset", dataset, _DATASETS)
    work = root / f".fetch-{dataset}"
    if not work.exists() and _missing(dataset, root) is None:
        return False
    files.make_folder(root)
    with _locked(root / f".fetch-{dataset}.lock"), open_session() as session:
        with _or_by_hand(dataset, root):
            remote = read_record(session, record)
        files.make_folder(work)
        files.check_no_links(work)
        if work.is_symlink():
            raise InputError(f"{work} is a link to another place; remove it")
        for candidates in _candidates(remote, dataset):
            missing = [file for file in candidates if not _done(work, file).exists()]
            _check_room(missing, work)
            for file in missing:
                with _or_by_hand(dataset, root):
                    path = _download(session, file, work)
                _place(path, root, work)
                _done(work, file).touch()
                path.unlink(missing_ok=True)
            if candidates and _missing(dataset, root) is None:
                break
        with _or_by_hand(dataset, root):
            if why := _missing(dataset, root):
                raise InputError(f"{record} has been fetched, but {why}")
        _clean(work)
    return True


def _clean(work: Path) -> None:
    """Remove what fetching has left in its folder, and the folder if nothing else is in it."""
    for path in work.iterdir():
        if re.fullmatch(r"(md5|sha\d+)-[0-9a-f]+(\.part|_.*\.done)", path.name):
            path.unlink()
        elif path.name.startswith(SCRATCH):
            shutil.rmtree(path)
    for folder in (work / FILES, work):
        with suppress(OSError):  # something of the user's is in it
            folder.rmdir()


def read_record(session: requests.Session, url: str) -> list[RemoteFile]:
    """Return the files that a Zenodo record lists. InputError if it can't be read.

    Zenodo gives a list `files` of `key`, `size`, `checksum` and `links`; InvenioRDM gives
    `files.entries` by key.
    """
    try:
        with get(session, url, {"Accept": "application/json"}) as response:
            response.raise_for_status()
            body = text(response)
        listed = json.loads(body)["files"]
        if isinstance(listed, dict):
            listed = list(listed["entries"].values())
        remote = [_remote_file(entry, response.url) for entry in listed]
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise InputError(f"{url} is not a record of Zenodo: it is not JSON") from None
    except requests.RequestException as error:
        raise InputError(f"{url} can't be read: {explain(error)}") from None
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        raise InputError(
            f"{url} is not a record of Zenodo: expected files with key, size, checksum and links"
        ) from None
    if not remote:
        raise InputError(f"{url} lists no files")
    return remote


def _remote_file(entry: Any, base: str) -> RemoteFile:
    links = entry["links"]
    # If there is `content`, `self` may be the file's metadata.
    url = urljoin(base, links.get("content") or links.get("download") or links["self"])
    name, size, checksum = str(entry["key"]), int(entry["size"]), str(entry["checksum"])
    is_plain = name.isprintable() and not re.search(r"[/\\]", name) and len(name.encode()) <= _LONG
    if not name or name.startswith(".") or not is_plain:
        raise InputError(f"the record has a file named {name!r}; expected a plain file name")
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"the record links {name} to {url}, expected http or https")
    kind, _, digits = checksum.partition(":")
    if not re.fullmatch(f"[0-9a-f]{{{_DIGITS.get(kind, 0)}}}", digits) or not digits:
        raise InputError(f"the record gives {name} the checksum {checksum!r}, expected md5:...")
    if not 0 <= size < _HUGE:
        raise InputError(f"the record gives {name} the size {size}, expected bytes")
    return RemoteFile(name, size, checksum, url)


def _candidates(remote: list[RemoteFile], dataset: str) -> list[list[RemoteFile]]:
    """Return the files named after the dataset, then those that are named after none."""

    def named(file: RemoteFile, words: tuple[str, ...]) -> bool:
        return any(word in file.name.lower() for word in words)

    own = [file for file in remote if named(file, _WORDS[dataset])]
    none = [file for file in remote if not any(named(file, words) for words in _WORDS.values())]
    return [own, none]


def _download(session: requests.Session, file: RemoteFile, work: Path) -> Path:
    """Download one file of the record, whole and checked."""
    pooch.get_logger().setLevel("WARNING")  # there is a progress bar
    with progress.step(f"fetching {file.name}", file.size / 1e6, "MB") as step:
        download = Resuming(
            session, _part(work, file), file.size, lambda read: step.advance(read / 1e6)
        )
        folder = work / FILES
        try:
            path = pooch.retrieve(file.url, file.checksum, file.name, folder, downloader=download)
            return Path(path)
        except InputError:
            raise
        except ValueError:
            raise InputError(
                f"{file.name} from {file.url} does not have the checksum {file.checksum} of its "
                f"record and was deleted; try again, and report it to the record's authors if it "
                f"happens again"
            ) from None


def _place(path: Path, root: Path, work: Path) -> None:
    """Unpack an archive, or move another file, to where it belongs."""
    if is_archive(path):
        with progress.step(f"unpacking {path.name}", unit="MB") as step:
            unpack(path, root, work, lambda read: step.advance(read / 1e6))
    else:
        files.place(path, root, Path(path.name))


def _part(work: Path, file: RemoteFile) -> Path:
    """Return the path of a partial file. The checksum in its name keeps versions apart."""
    return work / f"{file.checksum.replace(':', '-')}.part"


def _done(work: Path, file: RemoteFile) -> Path:
    """Return the path of the empty file that says that a file has been unpacked."""
    return work / f"{file.checksum.replace(':', '-')}_{file.name}.done"


def _check_room(missing: list[RemoteFile], work: Path) -> None:
    parts = [_part(work, file) for file in missing]
    have = sum(part.stat().st_size for part in parts if part.exists())
    need, free = sum(file.size for file in missing) - have, shutil.disk_usage(work).free
    if need > free:
        raise InputError(
            f"{work.parent} has room for {free / 1e9:.1f} GB, but the files to download have "
            f"{need / 1e9:.1f} GB, and more once unpacked; choose another folder"
        )


def _missing(dataset: str, root: Path) -> str | None:
    """Return what the dataset lacks below a folder, or None if it is there."""
    try:
        _DATASETS[dataset].check(root)
    except InputError as error:
        return str(error)
    return None


@contextmanager
def _or_by_hand(dataset: str, root: Path) -> Iterator[None]:
    """Add to errors how to fetch the dataset by hand."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{error}. By hand: get the files from {_PAGE} and unpack them, so that {root} holds "
            f"{_DATASETS[dataset].LAYOUT}"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = files.lock(path)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"another process is fetching into {path.parent}; wait for it") from None
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)
