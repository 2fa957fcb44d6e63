"""The runs in the folder that is served, and their pages."""

import time
from threading import Lock
from typing import Any

import msgspec

from rawdrift.checks import InputError
from rawdrift.controls import listing
from rawdrift.runs import status
from rawdrift.web.folder import Folder

_FRESH = 2.0  # seconds for which a list of runs is not made again
_LARGEST = 256 << 20  # bytes of a page


class Runs:
    """The runs in a folder."""

    def __init__(self, folder: Folder):
        self._folder = folder
        self._lock = Lock()
        self._made = -_FRESH
        self._list: list[dict[str, Any]] = []

    def list(self) -> dict[str, Any]:
        """Return what `rawdrift runs` lists, and which runs have a page."""
        with self._lock:
            if time.monotonic() - self._made > _FRESH:
                self._list = [
                    {**msgspec.to_builtins(one), "page": self._has_page(one.run)}
                    for one in listing.runs(self._folder.root)
                ]
                self._made = time.monotonic()
            return {"runs": self._list}

    def one(self, name: str) -> dict[str, Any]:
        """Return the state of a run, and when its page was written."""
        folder = self._folder.folder("" if name == "." else name)
        state = status.read(folder)
        page = folder / "report.html"
        return {
            "run": name,
            "status": None if state is None else msgspec.to_builtins(state),
            "changed": page.stat().st_mtime if self._has_page(name) else None,
        }

    def page(self, name: str) -> bytes:
        """Return the page of a run. Raises InputError if it has none."""
        if not self._has_page(name):
            raise InputError(f"run {name!r} has no page yet; it appears with its first results")
        path = self._folder.file("report.html" if name == "." else f"{name}/report.html")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"the page of {name!r} is too large to show; open {path} instead")
        return path.read_bytes()

    def _has_page(self, name: str) -> bool:
        try:
            folder = self._folder.folder("" if name == "." else name)
            self._folder.file("report.html" if name == "." else f"{name}/report.html")
        except InputError:
            return False
        return (folder / "spec.yaml").is_file()
