"""Commands on cameras: develop raw files, list and calibrate cameras, check signatures."""

import json
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from jsonargparse import Namespace

from rawdrift import files, progress
from rawdrift.camera.camera import Camera, shipped
from rawdrift.checks import Failures, InputError, grouped
from rawdrift.text import counted


def _develop(args: Namespace) -> int:
    from rawdrift.isp.develop import CONTACT_SHEET, develop, plan

    raws = [Path(raw) for raw in args.raws]
    names = plan(raws, args.isp)
    camera = Camera.load(args.camera) if args.camera else None
    out = Path(args.out)
    failures = Failures()
    notes: list[tuple[str, str]] = []
    views = develop(
        raws, camera, names, out, failures, args.format, args.channels, args.trust, args.bits
    )
    views = progress.over(views, "developing", "view", len(raws) * len(names))
    for (raw, told), developed in groupby(views, key=lambda view: (view.raw, view.notes)):
        notes += [(str(raw), f"{raw}: {note}") for note in told]
        if args.isp == "all":
            from rawdrift.report.contact_sheet import contact_sheet

            pictures = ((view.name, view.picture) for view in developed)
            contact_sheet(pictures, out / f"{raw.stem}{CONTACT_SHEET}", title=raw.name)
    for note in grouped(notes):
        print(f"rawdrift: check: {note}", file=sys.stderr)
    failures.check(len(raws), "raw files")
    print(f"{counted(len(raws), 'raw file')} developed into {out}")
    return 0


def _cameras(args: Namespace) -> int:
    if args.action == "list":
        for name in shipped():
            camera = Camera.load(name)
            print(f"{name:16} {camera.cfa} {camera.bit_depth} bit  {camera.provenance}")
        return 0
    if args.action == "fit":
        return _fit_camera(args.fit)
    camera = _camera(args.show.name)
    temperature = args.show.temperature
    print((camera.at(temperature) if temperature else camera).to_toml(), end="")
    return 0


def _camera(name: str) -> Camera:
    """Load a shipped camera, a camera file, or the camera that a raw file describes."""
    known = name in shipped() or Path(name).suffix in ("", ".toml")
    return Camera.load(name) if known else Camera.from_file(name)


def _fit_camera(args: Namespace) -> int:
    out = Path(args.out)
    files.check_suffix("--out", out, ".toml", "a camera file")
    stated = args.bit_depth is not None
    if args.camera and (args.cfa or stated):
        raise InputError(
            "--camera already says the color filter array and the bit depth; leave out --cfa and "
            "--bit_depth"
        )
    if bool(args.dark) != bool(args.flat) or not (args.dark or args.chart):
        raise InputError("give --dark with --flat, or --chart, or all three")
    is_own = args.camera and out.exists() and out.resolve() == Path(args.camera).resolve()
    if not is_own or "[isp]" in files.read_text(out):
        files.check_new(out)
    camera = Camera.load(args.camera) if args.camera else None
    if args.cfa:
        camera = Camera(out.stem, args.cfa, bit_depth=args.bit_depth if stated else 16)
    if args.dark:
        from rawdrift.camera.calibrate import calibrate

        found = calibrate(
            [Path(raw) for raw in args.dark], [Path(raw) for raw in args.flat], camera
        )
        if (empty := found.unused) and args.cfa and not stated:
            raise InputError(
                f"values of the frames use {empty.bits} of 16 bits, the highest is "
                f"{empty.largest}; expected --bit_depth {empty.likely} if full scale is "
                f"{2**empty.likely - 1}, or --bit_depth 16 if the light was so low"
            )
        print(found.text())
        camera = found.camera
    if args.chart:
        camera = _fit_charts(args, camera, out.with_suffix(".html"))
    assert camera is not None
    camera.save(out)
    print(f"camera file: {out}")
    return 0


def _fit_charts(args: Namespace, camera: Camera | None, page: Path) -> Camera:
    files.check_new(page)
    from rawdrift.isp.chart_files import fit_charts
    from rawdrift.report import chart

    camera, fits = fit_charts(
        args.chart,
        camera,
        corners=args.corners or (),
        regions=args.regions or (),
        references=args.references,
        flat=args.chart_flat or (),
        temperatures=args.temperature or (),
    )
    for path, found in zip(args.chart, fits, strict=True):
        print(f"{path}\n{found}")
    files.write(page, chart.page(fits, args.chart, args.temperature or ()))
    print(f"page: {page}")
    return camera


def _check(args: Namespace) -> int:
    if not args.camera and not (args.isp and args.isp.endswith(".toml")):
        raise InputError("--camera is missing: give a camera, or an ISP file as --isp")

    from rawdrift.configurations import is_file
    from rawdrift.controls.evidence import check
    from rawdrift.controls.evidence.bundle import signature as open_signature
    from rawdrift.isp.file import read

    key = Path(args.public_key) if args.public_key else None
    signature, signed_by = open_signature(Path(args.signature), key)
    if args.isp and is_file(args.isp):
        camera, isp = read(args.isp)
        if args.camera:
            raise InputError(f"ISP file {args.isp} has its own camera; leave out --camera")
        verdict = check(signature, camera, isp=isp)
    else:
        camera = _camera(args.camera)
        verdict = check(signature, camera, args.isp)
    if args.json:
        print(json.dumps({**verdict.to_dict(), "signed_by": signed_by}, indent=1))
        return 0 if verdict.inside else 1
    print(f"{camera.name} is {'inside' if verdict.inside else 'outside'} the envelope")
    if signed_by is not None:
        print(f"  signed with key {signed_by}")
    for line in (*verdict.outside, *(f"note: {note}" for note in verdict.notes)):
        print(f"  {line}")
    return 0 if verdict.inside else 1


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "develop": _develop,
    "cameras": _cameras,
    "check": _check,
}
