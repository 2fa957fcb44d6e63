"""A run as one file for others: what `rawdrift report RUN --zip` writes."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.controls.result import SUMMARY
from rawdrift.runs.spec import places, read_yaml

MARK = "a run of rawdrift"
"""The comment of our archives, by which they are known."""

_FILES = ("report.html", SUMMARY, "results.csv", "spec.yaml", "signature.json", "run.log")
_FOLDERS = ("figures", "tables", "samples", "isps")
_MOMENT = (1980, 1, 1, 0, 0, 0)


def parts(run: Path) -> Iterator[Path]:
    """Yield what a reader needs of a run folder, sorted: without records and networks."""
    found = [run / name for name in _FILES]
    for folder in _FOLDERS:
        found += (run / folder).rglob("*")
    return (path for path in sorted(found) if path.is_file() and not files.is_leftover(path))


def pack(run: Path, out: Path | None = None) -> tuple[Path, int]:
    """Pack a finished run, by default into RUN.zip beside it; return the path and the file count.

    The same files give the same bytes. Texts name no folder of this user's. An archive of ours is
    replaced. Raises InputError if there is something else of that name, or a link in the folder.
    """
    files.check_no_links(run)
    run = run.resolve()
    out = run.with_name(f"{run.name}.zip") if out is None else out
    if out.is_symlink() or (out.exists() and not _is_ours(out)):
        raise InputError(
            f"{out} exists already and is no archive of a run; rename it, or remove it first"
        )
    shown = [*parts(run)]
    named = places(read_yaml(run / "spec.yaml")) if (run / "spec.yaml").is_file() else []
    clean = files.without_paths([run, *named])

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.comment = MARK.encode()
            for path in shown:
                content = path.read_bytes()
                if path.suffix in (".yaml", ".log", ".toml"):
                    content = clean(content.decode(errors="replace")).encode()
                name = f"{run.name}/{path.relative_to(run).as_posix()}"
                entry = zipfile.ZipInfo(name, _MOMENT)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)

    files.write(out, write)
    return out, len(shown)


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == MARK.encode()
    except (OSError, zipfile.BadZipFile):
        return False
