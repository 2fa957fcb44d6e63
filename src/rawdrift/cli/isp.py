"""Commands on ISPs: show one, and find the one that made pictures."""

import json
from collections.abc import Callable
from dataclasses import asdict

from jsonargparse import Namespace

from rawdrift.camera.camera import Camera


def _show(args: Namespace) -> int:
    from rawdrift.isp import file

    print(file.open(args.isp, Camera.load(args.camera) if args.camera else None))
    return 0


def _match(args: Namespace) -> int:
    from rawdrift.isp.match import match_files

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


_ACTIONS: dict[str, Callable[[Namespace], int]] = {"show": _show, "match": _match}


def _isp(args: Namespace) -> int:
    return _ACTIONS[args.action](args[args.action])


COMMANDS: dict[str, Callable[[Namespace], int]] = {"isp": _isp}
