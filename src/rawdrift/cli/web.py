"""The command that serves the web page."""

import os
from collections.abc import Callable
from pathlib import Path

from jsonargparse import Namespace

from rawdrift import configurations, imports
from rawdrift.checks import InputError
from rawdrift.models.spec import Task


def _web(args: Namespace) -> int:
    # Views are small and many: threads of torch that wait in a loop would take the cores from them.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for package in ("starlette", "uvicorn"):
        imports.need(package, "web")
    from rawdrift.camera.camera import Camera
    from rawdrift.isp.programs import program
    from rawdrift.web.answers import Network, of_run
    from rawdrift.web.server import serve

    task: Task = args.task
    if args.run is not None:
        if task != Task():
            raise InputError("--run already names a network; leave out --task")
        task = of_run(Path(args.run), args.training)
    elif args.training is not None:
        raise InputError("--training names a training of --run; give that too")
    elif task.checkpoint is None and task != Task():
        raise InputError("--task.checkpoint is missing: the page needs a network that is trained")
    boxes = args.isp or []
    for reference in boxes:
        if not configurations.is_external(reference):
            raise InputError(
                f"--isp takes a black box (libraw:..., command:... or import:...), got "
                f"{reference!r}; named ISPs and files are on the page anyway"
            )
        if configurations.kind_of(reference) == "import":
            imports.resolve(":".join(reference.split(":")[:2]), "--isp")
        else:
            program(reference, Camera("any", "RGGB"))
    network = Network(task, args.tile) if task.checkpoint else None
    try:
        serve(Path(args.folder), network, args.host, args.port, boxes)
    except KeyboardInterrupt as stop:  # there is nothing to resume
        return 130 if type(stop) is KeyboardInterrupt else 143
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {"web": _web}
