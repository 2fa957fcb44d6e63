"""The arguments of the command line."""

from rawdrift import __version__
from rawdrift.cli.arguments import Parser, command
from rawdrift.configurations import CONFIGURATIONS
from rawdrift.controls import commands, presets
from rawdrift.data.spec import PUBLISHED, Data
from rawdrift.models.spec import Task
from rawdrift.runs.compute import KINDS

SHELLS = ("bash", "zsh", "tcsh")
"""That commands can be completed in."""
_CAMERA = "shipped name, .toml file, or raw file that describes its camera"


def build(only: str | None = None) -> Parser:
    """The parser of all commands. only: the command to be parsed; the fields of others, which take
    a while to look up, are then left out."""

    def fields(of: Parser, name: str, kind: type, under: str | None = None) -> None:
        if only in (None, name):
            of.add_class_arguments(kind, under)

    parser = command("Dataset drift controls for machine learning with optical images.")
    parser.prog = "rawdrift"
    parser.add_argument("--version", action="version", version=f"rawdrift {__version__}")
    subcommands = parser.add_subcommands(required=True, dest="command", metavar="COMMAND")

    demo = command("The four controls on synthetic blood smears, each with its report.")
    demo.add_argument("--out", default="runs/demo", help="run folder")
    subcommands.add_subcommand("demo", demo, help="all four controls on synthetic data, in minutes")

    develop = command("Develop raw files into pictures.")
    develop.add_argument("raws", nargs="+", metavar="RAW", help="TIFF, PNG, NPY, DNG, ...")
    develop.add_argument(
        "--camera",
        help="shipped name or .toml file; by default that of the ISP file or of the raw file",
    )
    develop.add_argument(
        "--isp",
        default="bi,s,ga",
        help=f"one of {' '.join(CONFIGURATIONS)}, all, an ISP file (.toml), "
        "libraw:OPTION=VALUE,..., command:PROGRAM {raw} ... {picture}, or "
        "import:package.module.factory",
    )
    develop.add_argument("--out", required=True, help="folder for the pictures")
    develop.add_argument("--format", default="png", help="png, tiff or jpeg")
    develop.add_argument("--bits", type=int, help="8 or 16 of a channel, by default 16; JPEG has 8")
    develop.add_argument("--channels", help="sharpen and denoise luma (the default) or yuv")
    develop.add_argument(
        "--trust", help="camera or file: which one holds where a file's metadata contradict it"
    )
    _add_imports(develop)
    subcommands.add_subcommand("develop", develop, help="raw files to pictures")

    for name, control in commands().items():
        usage = f"rawdrift {name} [--config FILE] [--FIELD VALUE ...] --out RUN"
        runs = command(control.description, usage)
        known = presets.names(control)
        others = f", or one of {' '.join(known)}" if known else ""
        runs.add_argument(
            "--config", action="config", help=f"YAML file with the same fields{others}"
        )
        runs.add_argument("--out", type=str, help="run folder: a new one, or one to resume")
        fields(runs, name, control.spec)
        _add_computing(runs)
        runs.add_argument("--json", action="store_true", help="print the result as JSON alone")
        subcommands.add_subcommand(name, runs, help=control.help)
        parser.commands[name] = runs

    report = command("Rewrite the reports of finished runs, and compare synthesis runs.")
    report.add_argument("runs", nargs="+", metavar="RUN", help="run folder")
    report.add_argument("--out", help="folder for the comparison; by default that of the last run")
    report.add_argument(
        "--zip", action="store_true", help="also pack what a reader needs of each run: RUN.zip"
    )
    subcommands.add_subcommand("report", report, help="rewrite reports, and compare runs")

    listed = command("List the runs in a folder: state, progress and headline, the newest first.")
    listed.add_argument("folder", nargs="?", default="runs", metavar="DIR", help="by default runs")
    listed.add_argument("--json", action="store_true", help="print JSON instead of text")
    subcommands.add_subcommand("runs", listed, help="list runs with state, progress and headline")

    web = command("Serve a page to explore raw files with, and to follow runs, to this machine.")
    web.add_argument("folder", nargs="?", default=".", metavar="DIR", help="by default this folder")
    web.add_argument("--host", default="127.0.0.1", help="address to serve to; 0.0.0.0 is everyone")
    web.add_argument("--port", type=int, default=8765, help="0 takes one that is free")
    web.add_argument(
        "--isp",
        action="append",
        metavar="REFERENCE",
        help="black box that the page offers, too, such as libraw; repeat the option for each",
    )
    web.add_argument("--run", help="run folder whose trained network answers the views")
    web.add_argument("--training", help="name of its file, such as fold0, if --run has several")
    web.add_argument(
        "--tile", type=int, default=256, help="side of the part of a large frame that is answered"
    )
    fields(web, "web", Task, "task")
    _add_imports(web)
    subcommands.add_subcommand("web", web, help="explore raw files and follow runs in a browser")
    parser.commands["web"] = web

    export = command("Write the ISP of a run with its network as one file that takes raw mosaics.")
    export.add_argument(
        "run",
        metavar="RUN",
        help="folder of a run of forensics, or of optimization with optimization.save_networks",
    )
    export.add_argument(
        "training",
        metavar="TRAINING",
        help="such as fold0 of forensics, or learned-0.05-fold1 of optimization",
    )
    export.add_argument("--out", required=True, help="file to write: .onnx, or .pt2 for PyTorch")
    export.add_argument(
        "--any_size", action="store_true", help="take mosaics of other even sizes, if the net does"
    )
    _add_imports(export)
    subcommands.add_subcommand("export", export, help="an ISP with its network as one file")

    check = command("Is this camera inside the envelope of a forensic signature?")
    check.add_argument(
        "signature", metavar="SIGNATURE", help="signature.json, or evidence of its run (.zip)"
    )
    check.add_argument("--public_key", help="public key (PEM) of who must have signed the evidence")
    check.add_argument("--camera", help=f"{_CAMERA}; by default that of the ISP file")
    check.add_argument(
        "--isp",
        help="one of the twelve, or an ISP file; exits with 2 if it is not the signed one",
    )
    check.add_argument("--json", action="store_true", help="print JSON instead of text")
    _add_imports(check)
    subcommands.add_subcommand("check", check, help="is a camera inside a signature's envelope?")

    complete = command("Print a script by which a shell completes commands and their arguments.")
    complete.add_argument("shell", metavar="SHELL", help=f"one of {', '.join(SHELLS)}")
    subcommands.add_subcommand("completion", complete, help="complete commands in your shell")

    evidence = command("Pack a finished run as evidence: every changed byte will be noticed.")
    evidence.add_argument("run", metavar="RUN", help="folder of a finished run")
    evidence.add_argument("--out", required=True, help="file to write (.zip)")
    evidence.add_argument("--key", help="sign with this Ed25519 private key (PEM)")
    subcommands.add_subcommand("evidence", evidence, help="a finished run as one checkable file")

    verify = command("Check evidence: hashes, sentences, numbers; exits with 1 if one is wrong.")
    verify.add_argument("file", metavar="FILE.zip", help="file of rawdrift evidence")
    verify.add_argument("--data", help="folder of the data on this machine")
    verify.add_argument("--recompute", type=int, default=0, help="units to compute again")
    verify.add_argument("--model", help="the trained network that the run tested")
    verify.add_argument("--public_key", help="public key (PEM) of who must have signed it")
    verify.add_argument("--json", action="store_true", help="print JSON instead of text")
    _add_imports(verify)
    subcommands.add_subcommand("verify", verify, help="check evidence")

    data = command("Raw images with their labels: fetch, list, store and describe them.")
    subcommands.add_subcommand("data", data, help="fetch, list, store and describe data")
    actions = data.add_subcommands(required=True, dest="action", metavar="ACTION")
    fetch = command("Fetch a published dataset (Zenodo record 5235536), or resume its download.")
    fetch.add_argument("name", metavar="DATASET", help=" or ".join(PUBLISHED))
    fetch.add_argument("--root", required=True, help="folder for the files")
    fetch.add_argument("--url", help="URL of a mirror's copy of the Zenodo record, in JSON")
    actions.add_subcommand("fetch", fetch, help="download, check and unpack a published dataset")
    pack = command(
        "Store a dataset of any size in two files that open at once.",
        "rawdrift data pack [--FIELD VALUE ...] --out OUT",
    )
    fields(pack, "data", Data, "data")
    pack.add_argument("--out", required=True, help="new folder for the store")
    _add_imports(pack)
    actions.add_subcommand("pack", pack, help="store a dataset so that it opens at once")
    parser.commands["pack"] = pack
    describe = command(
        "Count the images, and look for what is wrong with them.",
        "rawdrift data describe [--FIELD VALUE ...] [--json] [--sheet FILE] [--verify]",
    )
    fields(describe, "data", Data, "data")
    describe.add_argument("--json", action="store_true", help="print JSON instead of text")
    describe.add_argument("--sheet", type=str, help="PNG to draw images of every class into")
    describe.add_argument(
        "--verify", action="store_true", help="compare a packed folder with its checksums first"
    )
    _add_imports(describe)
    actions.add_subcommand("describe", describe, help="counts, clipping, noise, duplicates")
    parser.commands["describe"] = describe

    listing = command("Write a manifest.csv for a folder whose sub-folders are labels.")
    listing.add_argument("root", metavar="ROOT", help="folder of images in sub-folders")
    listing.add_argument(
        "--pattern",
        help="where paths of images, without suffix, state label, group and split, such as "
        '"{label}/{group}_*" for cat/patient7_01.tif; * is any text without "/"',
    )
    actions.add_subcommand("manifest", listing, help="write a manifest of images in sub-folders")

    isps = command("Image signal processors, as rawdrift knows them.")
    subcommands.add_subcommand("isp", isps, help="show an ISP, or find the one that made pictures")
    actions = isps.add_subcommands(required=True, dest="action", metavar="ACTION")
    show_isp = command("Print the steps of an ISP with their numbers.")
    show_isp.add_argument("isp", metavar="ISP", help="such as bi,s,ga, or as in develop")
    show_isp.add_argument("--camera", help="shipped name or .toml file; an ISP file has its own")
    _add_imports(show_isp)
    actions.add_subcommand("show", show_isp, help="print an ISP")
    match = command("Rank the known ISPs by how well they reproduce pictures of raw files.")
    match.add_argument("raws", metavar="RAWS", help="folder of raw files, or one file")
    match.add_argument(
        "pictures",
        metavar="PICTURES",
        help="folder of pictures with the same names (PNG, TIFF, JPEG), or one picture",
    )
    match.add_argument(
        "--camera",
        help="shipped name or .toml file; by default camera.toml in RAWS, or that of each raw file",
    )
    match.add_argument(
        "--isp",
        action="append",
        metavar="ISP",
        help="ISP file or black box (see develop) to rank too; repeat the option",
    )
    match.add_argument("--channels", default="luma", help="sharpen and denoise luma or yuv")
    match.add_argument(
        "--gain", action="store_true", help="multiply all views of an ISP by the best factor"
    )
    match.add_argument("--images", type=int, default=16, help="largest number of pairs to compare")
    match.add_argument(
        "--trust", help="camera or file: which one holds where a file's metadata contradict it"
    )
    match.add_argument("--json", action="store_true", help="print JSON instead of text")
    _add_imports(match)
    actions.add_subcommand("match", match, help="which ISP made these pictures?")

    fit_isp = command("Fit the steps and numbers of an ISP to pictures of raw files.")
    fit_isp.add_argument(
        "pairs", metavar="PAIRS", help="folder with pairs.csv: columns raw, picture, maybe group"
    )
    fit_isp.add_argument("--camera", required=True, help="shipped name or .toml file, the start")
    fit_isp.add_argument("--out", required=True, help="ISP file to write (.toml), beside a page")
    fit_isp.add_argument(
        "--trust", help="camera or file: which one holds where a file's metadata contradict it"
    )
    fields(fit_isp, "isp", Task, "task")
    _add_imports(fit_isp)
    actions.add_subcommand("fit", fit_isp, help="fit an ISP to your own camera's pictures")

    cameras = command("The cameras that come with rawdrift, and your own.")
    subcommands.add_subcommand("cameras", cameras, help="list, show or calibrate cameras")
    actions = cameras.add_subcommands(required=True, dest="action", metavar="ACTION")
    shipped = command("List the shipped cameras.")
    actions.add_subcommand("list", shipped, help="list the shipped cameras")
    show = command("Print a camera file.")
    show.add_argument("name", metavar="CAMERA", help=_CAMERA)
    show.add_argument(
        "--temperature",
        type=float,
        help="print it in light of this color temperature in kelvin, if it states two illuminants",
    )
    actions.add_subcommand("show", show, help="print a camera file")
    fit = command(
        "Measure black level, gain and read noise from dark and flat frames (EMVA 1288), or white "
        "balance, color matrix and tone curve from a color chart, or both."
    )
    fit.add_argument("--dark", nargs="+", metavar="RAW", help="at least 2 frames")
    fit.add_argument(
        "--flat", nargs="+", metavar="RAW", help="2 frames at each of several exposures"
    )
    fit.add_argument(
        "--chart",
        nargs="+",
        metavar="RAW",
        help="color chart of 24 patches, or in each of 2 lights",
    )
    fit.add_argument(
        "--corners",
        nargs="+",
        metavar="CORNERS",
        help="outer corners of dark skin, bluish green, black and white in each chart: "
        "'row,column row,column row,column row,column'",
    )
    fit.add_argument(
        "--regions",
        nargs="+",
        metavar="CSV",
        help="in place of corners: patch, top, left, bottom, right in pixels, for each chart",
    )
    fit.add_argument(
        "--references",
        metavar="CSV",
        help="patch, and L, a, b (D50) or R, G, B (sRGB, 0 to 255); by default the classic chart's",
    )
    fit.add_argument(
        "--chart_flat",
        nargs="+",
        metavar="RAW",
        help="an evenly colored board in the light of each chart",
    )
    fit.add_argument(
        "--temperature",
        nargs="+",
        type=float,
        metavar="KELVIN",
        help="color temperatures of the lights of two charts",
    )
    fit.add_argument("--camera", help="camera with the other numbers: shipped name or .toml file")
    fit.add_argument(
        "--cfa", help="color filter array, such as RGGB or MONO, if no camera is given"
    )
    fit.add_argument("--bit_depth", type=int, help="with --cfa: bits of full scale, by default 16")
    fit.add_argument("--out", required=True, help="camera file to write (.toml)")
    actions.add_subcommand("fit", fit, help="measure a camera: dark and flat frames, color charts")
    parser.commands["fit"] = fit
    return parser


def _add_computing(parser: Parser) -> None:
    """Add the arguments that say where a run is computed and logged, not what it computes."""
    parser.add_argument("--compute", default="inline", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--workers", type=int, help="number of processes at a time")
    parser.add_argument("--threads", type=int, help="threads of each unit")
    parser.add_argument("--gpus", type=float, default=0.0, help="of each unit on a Ray cluster")
    parser.add_argument("--tracker", default="none", help="none or mlflow")
    _add_imports(parser)
    parser.add_argument("--dry_run", action="store_true", help="say what would be done, and stop")


def _add_imports(parser: Parser) -> None:
    parser.add_argument(
        "--allow_import",
        action="append",
        metavar="import:MODULE.NAME",
        help="your own code, or a command:PROGRAM ..., that a file may name; repeat the option for "
        "each",
    )
