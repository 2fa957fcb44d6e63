"""Commands on data: fetch, pack, describe and manifest."""

import json
from collections.abc import Callable
from pathlib import Path

from jsonargparse import Namespace

from rawdrift import files
from rawdrift.checks import Failures, InputError
from rawdrift.text import counted


def _pack(args: Namespace) -> int:
    from rawdrift.data import datasets, pack

    if args.data.tile is not None:
        raise InputError(
            "data pack stores whole frames: leave out data.tile here, and set it where the packed "
            "folder is used; frames of several sizes can't be packed, but need not be, since tiles "
            "are cut from their files as they are"
        )
    frames = datasets.frames(args.data)
    failures = pack.write(frames, Path(args.out))
    count = len(frames.rows) - len(failures.reasons)
    print(f"{counted(count, 'image')} packed into {args.out}")
    for note in getattr(frames, "notes", ()):
        print(f"note: {note}")
    failures.check(len(frames.rows), "images")
    return 0


def _describe(args: Namespace) -> int:
    from rawdrift.data import datasets, pack
    from rawdrift.data.describe import describe, samples

    if args.sheet:
        files.check_suffix("--sheet", Path(args.sheet), ".png", "a picture")
        files.check_new(Path(args.sheet))
    if args.verify:
        if args.data.root is None:
            raise InputError(
                f"{args.data.name} is not a packed dataset; give the folder of one, --data.root"
            )
        pack.verify(Path(args.data.root))
    frames = datasets.frames(args.data)
    found = describe(frames)

    from rawdrift.report.dataset import SAMPLES, dataset_text, sample_sheet

    print(json.dumps(found, indent=1) if args.json else dataset_text(found))
    if args.sheet and found["images"]:
        title = Path(args.data.root or args.data.name).name
        shown = samples(frames, SAMPLES)
        sample_sheet(shown, found["classes"], Path(args.sheet), title)
    Failures(found["unreadable"]).check(len(frames.rows), "images")
    return 0


def _manifest(args: Namespace) -> int:
    from rawdrift.data import manifest

    path, rows, notes = manifest.write(Path(args.root).expanduser(), args.pattern)
    counts = [counted(len(rows), "image")]
    for column in ("label", "group"):
        values = {getattr(row, column) for row in rows} - {""}
        counts += [counted(len(values), column)] if values else []
    counts += ["masks"] if rows[0].mask else []
    counts += ["a split"] if rows[0].split else []
    counts += [] if rows[0].group else ["no groups (--pattern reads them from paths)"]
    print(f"{path}: {', '.join(counts)}")
    for note in notes:
        print(note)
    return 0


def _fetch(args: Namespace) -> int:
    from rawdrift.data import zenodo

    root = Path(args.root).expanduser()
    fetched = zenodo.fetch(args.name, root, args.url or zenodo.RECORD)
    print(
        f"{args.name} is in {root}"
        if fetched
        else f"{args.name} is in {root} already, nothing is done; another --root fetches it anew"
    )
    return 0


_ACTIONS: dict[str, Callable[[Namespace], int]] = {
    "fetch": _fetch,
    "pack": _pack,
    "describe": _describe,
    "manifest": _manifest,
}


def _data(args: Namespace) -> int:
    return _ACTIONS[args.action](args[args.action])


COMMANDS: dict[str, Callable[[Namespace], int]] = {"data": _data}
