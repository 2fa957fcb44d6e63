"""The folder that is served: nothing outside of it is listed, read or written."""

import os
from collections.abc import Iterator
from pathlib import Path

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.controls.evidence.signature import FORMAT

RAW = {
    ".dng", ".tif", ".tiff", ".png", ".npy", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw",
    ".srf", ".sr2", ".raf", ".rw2", ".orf", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".mef", ".mos",
    ".mrw", ".dcr", ".kdc", ".erf", ".rwl", ".x3f", ".raw",
}  # fmt: skip
"""Endings of files that may be raw; their content decides."""
_DEEPEST, _MOST_ENTRIES, _MOST_NAMES = 6, 20_000, 2_000
_LARGEST = 4 << 20  # bytes of a camera, ISP or signature


class Folder:
    """A folder. Names of what lies in it are paths below it, with "/"; "" is the folder itself."""

    def __init__(self, root: Path):
        if not root.is_dir():
            raise InputError(f"{root} is not a folder; give the one to serve")
        self.root = root.resolve()

    def path(self, name: str) -> Path:
        """Return the path of what has this name, links followed.

        Raises InputError for a name that leads out of the folder, also by a link, or into what is
        hidden.
        """
        parts = name.split("/") if name else []
        if any(not part or part.startswith(".") or part != Path(part).name for part in parts):
            raise InputError(f"{name!r} names nothing in the folder; choose one of those listed")
        return files.inside(self.root, name).resolve()

    def file(self, name: str) -> Path:
        """Return the path of a file; see `path`."""
        path = self.path(name)
        if not path.is_file():
            raise InputError(f"{name!r} is not a file in the folder; it may have been removed")
        return path

    def small(self, name: str) -> Path:
        """Return the path of a camera, ISP or signature; see `path`."""
        path = self.file(name)
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{name!r} is too large for a camera, an ISP or a signature")
        return path

    def folder(self, name: str) -> Path:
        """Return the path of a folder; see `path`."""
        path = self.path(name)
        if not path.is_dir():
            raise InputError(f"{name!r} is not a folder here; it may have been removed")
        return path

    def listing(self, name: str) -> dict[str, object]:
        """Return the names of the folders and raw files in a folder; of very many, the first."""
        folders, raws = [], []
        for entry in sorted(self._entries(self.folder(name)), key=lambda entry: entry.name):
            full = f"{name}/{entry.name}" if name else entry.name
            if entry.is_dir():
                folders.append(full)
            elif entry.is_file() and Path(entry.name).suffix.lower() in RAW:
                raws.append(full)
        return {
            "folder": name,
            "folders": folders[:_MOST_NAMES],
            "raws": raws[:_MOST_NAMES],
            "left_out": max(len(folders), len(raws)) > _MOST_NAMES,
        }

    def known(self) -> dict[str, list[str]]:
        """Return the names of camera files, ISP files and signatures, wherever they are."""
        found: dict[str, list[str]] = {"cameras": [], "isps": [], "signatures": []}
        for path in self._walk(self.root):
            kind = _kind(path)
            if kind:
                found[kind].append(path.relative_to(self.root).as_posix())
        return {kind: sorted(names)[:_MOST_NAMES] for kind, names in found.items()}

    def camera_beside(self, name: str) -> Path | None:
        """Return camera.toml beside a file, or in a folder above it."""
        for folder in self.path(name).parents:
            if not folder.is_relative_to(self.root):
                break
            if (folder / "camera.toml").is_file():
                return self.small((folder / "camera.toml").relative_to(self.root).as_posix())
        return None

    def _entries(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        """Yield what is neither hidden nor a link to another place."""
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count >= _MOST_ENTRIES:
                    return
                if not entry.name.startswith(".") and (
                    not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(self.root)
                ):
                    yield entry

    def _walk(self, root: Path) -> Iterator[Path]:
        """Yield what may be cameras, ISPs or signatures. Links to folders are not followed."""
        looked_at = 0
        for path, names, inside in os.walk(root):
            names[:] = sorted(n for n in names if not n.startswith("."))
            if len(Path(path).relative_to(root).parts) >= _DEEPEST:
                names.clear()
            for name in inside:
                looked_at += 1
                full = Path(path, name)
                if looked_at > _MOST_ENTRIES:
                    return
                if name.startswith(".") or full.suffix not in (".toml", ".json"):
                    continue
                if full.resolve().is_relative_to(self.root):
                    yield full


def _kind(path: Path) -> str | None:
    """Return what a .toml or .json file seems to hold; reading it decides."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return None
        text = files.read_text(path)
    except (OSError, ValueError):
        return None
    if path.suffix == ".json":
        return "signatures" if FORMAT in text[:200] else None
    if "\n[isp]" in f"\n{text}":
        return "isps"
    return "cameras" if "\ncfa" in f"\n{text}" else None
