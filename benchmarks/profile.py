"""Where the time of a command goes.

    python -m benchmarks.profile COMMAND ... [the arguments of `rawdrift COMMAND`]

Every few milliseconds it looks which function of rawdrift each thread is in, and whose code that
calls. Time in which a thread waits for another is left out, and so are other processes: profile
with `--compute inline`. Imports count for the function that asks for them.
"""

import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import rawdrift
from rawdrift.cli import main as command

_EVERY = 0.005  # seconds
_OURS = str(Path(rawdrift.__file__).parent)
_IDLE = ("threading.py", "concurrent/futures/thread.py", "selectors.py", "queue.py")


def main() -> None:
    counts: Counter[tuple[str, str]] = Counter()
    stopped = threading.Event()
    begun = time.perf_counter()
    sampler = threading.Thread(target=sample, args=(counts, stopped), daemon=True)
    sampler.start()
    code = command(sys.argv[1:])
    stopped.set()
    sampler.join()
    spent = time.perf_counter() - begun
    total = sum(counts.values()) or 1
    print(f"\n{spent:.1f} s in all, exit code {code}\n\n{'share':>6s}  {'in rawdrift':46s} in")
    for (ours, theirs), count in counts.most_common(25):
        print(f"{count / total:6.1%}  {ours:46s} {theirs}")


def sample(counts: Counter[tuple[str, str]], stopped: threading.Event) -> None:
    """Count where all other threads are until it is stopped."""
    own = threading.get_ident()
    while not stopped.wait(_EVERY):
        for thread, frame in sys._current_frames().items():
            if thread != own and not frame.f_code.co_filename.endswith(_IDLE):
                counts[place(frame)] += 1


def place(frame: FrameType) -> tuple[str, str]:
    """Return the innermost function of rawdrift, and the package of the code that runs for it."""
    running, outer = frame.f_code.co_filename, frame
    while not outer.f_code.co_filename.startswith(_OURS):
        if outer.f_back is None:
            return "", package(running)
        outer = outer.f_back
    module = Path(outer.f_code.co_filename).relative_to(_OURS).with_suffix("").as_posix()
    name = f"{module}:{outer.f_code.co_name}"
    return name, "" if running.startswith(_OURS) else package(running)


def package(file: str) -> str:
    """Return the top package that a file belongs to."""
    parts = Path(file).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return "import" if "importlib" in file else "Python"


if __name__ == "__main__":
    main()
