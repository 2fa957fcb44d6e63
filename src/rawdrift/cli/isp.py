"""Commands on ISPs: show one, and find the one that made pictures."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from jsonargparse import Namespace

from rawdrift import files
from rawdrift.camera.camera import Camera


def _show(args: Namespace) -> int:
    from rawdrift.isp import file

    print(file.open(args.isp, Camera.load(args.camera) if args.camera else None))
    return 0


def _match(args: Namespace) -> int:
    from rawdrift.isp.matching import match_files

    found = match_files(
        args.raws,
        args.pictures,
        Camera.load(args.camera) if args.camera else None,
        args.isp or (),
        channels=args.channels,
        gain=args.gain,
        images=args.images,
        trust=args.trust,
    )
    print(json.dumps(asdict(found), indent=1) if args.json else found)
    return 0


def _fit(args: Namespace) -> int:
    out = Path(args.out)
    files.check_suffix("--out", out, ".toml", "an ISP file")
    for path in (out, out.with_suffix(".html")):
        files.check_new(path)
    from rawdrift.isp.file import save
    from rawdrift.isp.fit_files import fit_files
    from rawdrift.report.fitted import page

    model = None
    if args.task.checkpoint is not None:
        from rawdrift.models.networks import answering

        model = answering(args.task)
    found = fit_files(args.pairs, Camera.load(args.camera), args.trust, model)
    save(found.isp, out, found.camera)
    files.write(out.with_suffix(".html"), page(found, out.name))
    print(found)
    print(f"ISP file: {out}")
    print(f"page: {out.with_suffix('.html')}")
    return 0


_ACTIONS: dict[str, Callable[[Namespace], int]] = {"show": _show, "match": _match, "fit": _fit}


def _isp(args: Namespace) -> int:
    return _ACTIONS[args.action](args[args.action])


COMMANDS: dict[str, Callable[[Namespace], int]] = {"isp": _isp}
