"""Fetching the published datasets from their Zenodo record."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import pooch
import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from rawdrift import files
from rawdrift.checks import InputError, choose
from rawdrift.data import raw_drone, raw_microscopy
from rawdrift.data.archive import is_archive, unpack
from rawdrift.data.download import TIMEOUT, Resuming, explain, open_session

RECORD = "https://zenodo.org/api/records/5235536"
_PAGE = "https://doi.org/10.5281/zenodo.5235536"

# What a file's name says of the dataset it belongs to. The record's files are not known here.
_WORDS = {
    "raw-microscopy": ("microscop", "histopath", "whitecell", "ma190c"),
    "raw-drone": ("drone", "dji"),
}
_DATASETS: dict[str, ModuleType] = {"raw-microscopy": raw_microscopy, "raw-drone": raw_drone}


class RemoteFile(NamedTuple):
    """A file of a record. checksum: as "md5:...". size: bytes."""

    name: str
    size: int
    checksum: str
    url: str


def fetch(dataset: str, root: Path, record: str = RECORD) -> bool:
    """Fetch "raw-microscopy" or "raw-drone" into a folder, in the authors' layout.

    Downloads the files of the Zenodo record that may hold the dataset, checks and unpacks them.
    Broken off, it goes on from there. Returns False, having done nothing, where the dataset is
    there already.

    record: where the record's metadata are, as Zenodo's REST API gives them (JSON); a mirror's may
        give links relative to it.

    Raises InputError, that says how to do it by hand, where the record or a file can't be had, is
    not what the record declares, or does not hold the dataset.
    """
    choose("dataset", dataset, _DATASETS)
    work = root / f".fetch-{dataset}"
    if not work.exists() and _missing(dataset, root) is None:
        return False
    files.make_folder(root)
    with _locked(root / f".fetch-{dataset}.lock"), open_session() as session:
        with _or_by_hand(dataset, root):
            found = read_record(session, record)
        files.make_folder(work)
        for candidates in _candidates(found, dataset):
            todo = [file for file in candidates if not _done(work, file).exists()]
            _check_room(todo, work)
            for file in todo:
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
        shutil.rmtree(work)
    return True


def read_record(session: requests.Session, url: str) -> list[RemoteFile]:
    """The files that a Zenodo record lists.

    Zenodo gives a list `files` of `key`, `size`, `checksum` and `links`, InvenioRDM itself
    `files.entries` by key.
    """
    try:
        response = session.get(url, headers={"Accept": "application/json"}, timeout=TIMEOUT)
        response.raise_for_status()
        listed = response.json()["files"]
        if isinstance(listed, dict):
            listed = list(listed["entries"].values())
        found = [_remote_file(entry, response.url) for entry in listed]
    except requests.JSONDecodeError:
        raise InputError(f"{url} is no record of Zenodo: it is not JSON") from None
    except requests.RequestException as error:
        raise InputError(f"{url} can't be read: {explain(error)}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{url} is no record of Zenodo: expected files with key, size, checksum and links"
        ) from None
    if not found:
        raise InputError(f"{url} lists no files")
    return found


def _remote_file(entry: Any, base: str) -> RemoteFile:
    links = entry["links"]
    # Where there is `content`, `self` may be the file's metadata.
    url = urljoin(base, links.get("content") or links.get("download") or links["self"])
    name, size, checksum = str(entry["key"]), int(entry["size"]), str(entry["checksum"])
    if name.startswith(".") or re.search(r"[/\\\0]", name) or not name:
        raise InputError(f"the record has a file named {name!r}; expected a plain file name")
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"the record links {name} to {url}, expected http or https")
    if not re.fullmatch(r"(md5|sha\d+):[0-9a-f]{32,}", checksum):
        raise InputError(f"the record gives {name} the checksum {checksum!r}, expected md5:...")
    if size < 0:
        raise InputError(f"the record gives {name} the size {size}, expected bytes")
    return RemoteFile(name, size, checksum, url)


def _candidates(found: list[RemoteFile], dataset: str) -> list[list[RemoteFile]]:
    """First the files that are named for the dataset, then those that are named for none."""

    def named(file: RemoteFile, words: tuple[str, ...]) -> bool:
        return any(word in file.name.lower() for word in words)

    own = [file for file in found if named(file, _WORDS[dataset])]
    none = [file for file in found if not any(named(file, words) for words in _WORDS.values())]
    return [own, none]


def _download(session: requests.Session, file: RemoteFile, work: Path) -> Path:
    """One file of the record, whole and checked."""
    pooch.get_logger().setLevel("WARNING")  # the bar says the rest
    with _bar(file.size, file.name) as bar:
        get = Resuming(session, _part(work, file), file.size, bar.update)
        try:
            folder = work / "files"
            return Path(pooch.retrieve(file.url, file.checksum, file.name, folder, downloader=get))
        except InputError:
            raise
        except ValueError:
            raise InputError(
                f"{file.name} from {file.url} does not have the checksum {file.checksum} of its "
                f"record and was deleted; run the same command again, and report it to the "
                f"record's authors if it stays so"
            ) from None


def _place(path: Path, root: Path, work: Path) -> None:
    """Unpack an archive, or move another file, to where it belongs."""
    if is_archive(path):
        with _bar(None, f"unpacking {path.name}") as bar:
            unpack(path, root, work, bar.update)
    else:
        path.replace(root / path.name)


def _part(work: Path, file: RemoteFile) -> Path:
    """Where a file grows. Its name holds the checksum: no part of another version goes on."""
    return work / f"{file.checksum.replace(':', '-')}.part"


def _done(work: Path, file: RemoteFile) -> Path:
    """The empty file that says that a file has been unpacked."""
    return work / f"{file.checksum.replace(':', '-')}_{file.name}.done"


def _check_room(todo: list[RemoteFile], work: Path) -> None:
    parts = [_part(work, file) for file in todo]
    have = sum(part.stat().st_size for part in parts if part.exists())
    need, free = sum(file.size for file in todo) - have, shutil.disk_usage(work).free
    if need > free:
        raise InputError(
            f"{work.parent} has room for {free / 1e9:.1f} GB, but the files to download have "
            f"{need / 1e9:.1f} GB, and more once unpacked; choose another --root"
        )


def _missing(dataset: str, root: Path) -> str | None:
    """What the dataset lacks below a folder; None if it is there."""
    try:
        _DATASETS[dataset].check(root)
    except InputError as error:
        return str(error)
    return None


@contextmanager
def _or_by_hand(dataset: str, root: Path) -> Iterator[None]:
    """Errors within also say how to do without the network."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"{error}. By hand: get the files from {_PAGE} and unpack them, so that {root} holds "
            f"{_DATASETS[dataset].LAYOUT}"
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"another process is fetching into {path.parent}; wait for it") from None
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)


def _bar(total: int | None, what: str) -> Any:
    return tqdm(total=total, desc=what, unit="B", unit_scale=True, disable=None)
