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
    files.make_folder(work)
    with _locked(root / f".fetch-{dataset}.lock"), _by_hand(dataset, root):
        session = open_session()
        for candidates in _candidates(read_record(session, record), dataset):
            _check_room(candidates, root)
            for file in candidates:
                _get(session, file, work, root)
            if candidates and _missing(dataset, root) is None:
                break
        if why := _missing(dataset, root):
            raise InputError(f"the files of {record} are there, but {why}")
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
    name, checksum = str(entry["key"]), str(entry["checksum"])
    if name.startswith(".") or re.search(r"[/\\\0]", name) or not name:
        raise InputError(f"the record has a file named {name!r}; expected a plain file name")
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"the record links {name} to {url}, expected http or https")
    if not re.fullmatch(r"(md5|sha\d+):[0-9a-f]{32,}", checksum):
        raise InputError(f"the record gives {name} the checksum {checksum!r}, expected md5:...")
    return RemoteFile(name, int(entry["size"]), checksum, url)


def _candidates(found: list[RemoteFile], dataset: str) -> list[list[RemoteFile]]:
    """First the files that are named for the dataset, then those that are named for none."""

    def named(file: RemoteFile, words: tuple[str, ...]) -> bool:
        return any(word in file.name.lower() for word in words)

    own = [file for file in found if named(file, _WORDS[dataset])]
    none = [file for file in found if not any(named(file, words) for words in _WORDS.values())]
    return [own, none]


def _get(session: requests.Session, file: RemoteFile, work: Path, root: Path) -> None:
    """Download, check and unpack one file; remembered by an empty file, so that it is done once."""
    kind, digest = file.checksum.split(":")
    done = work / f"{digest}.done"
    if done.exists():
        return
    with _bar(file.size, file.name) as bar:
        get = Resuming(session, work / f"{digest}.part", file.size, bar.update)
        pooch.get_logger().setLevel("WARNING")  # the bar says the rest
        try:
            path = Path(pooch.retrieve(file.url, file.checksum, file.name, work, downloader=get))
        except InputError:
            raise
        except ValueError:
            raise InputError(
                f"{file.name} from {file.url} does not have the {kind} that its record declares, "
                f"and was deleted: damaged on the way, or changed; run the same command again"
            ) from None
    if is_archive(path):
        with _bar(None, f"unpacking {file.name}") as bar:
            unpack(path, root, work, bar.update)
        path.unlink()
    else:
        path.replace(root / file.name)
    done.touch()


def _check_room(candidates: list[RemoteFile], root: Path) -> None:
    need, free = sum(file.size for file in candidates), shutil.disk_usage(root).free
    if need > free:
        raise InputError(
            f"{root} has room for {free / 1e9:.1f} GB, but the files to download have "
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
def _by_hand(dataset: str, root: Path) -> Iterator[None]:
    """Errors within also say how to do without."""
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
