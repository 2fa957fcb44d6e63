"""Executors: the same results wherever units run and whatever dies under them."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rawdrift as rd
from rawdrift.controls.optimization.spec import Optimization, OptimizationSpec
from rawdrift.controls.synthesis.spec import Synthesis, SynthesisSpec
from rawdrift.data.spec import Data
from rawdrift.models.spec import Task
from rawdrift.runs.compute import Compute
from rawdrift.runs.executor import Done, Failed

needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs Ray")
KINDS = ["inline", "processes", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])]


def square(x):
    return x * x


def picky(x):
    if x == 1:
        raise rd.InputError("one is not\nwanted")
    if x == 2:
        raise ZeroDivisionError("two")
    return x


def die_once(path):
    """Kills its process the first time that it runs."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def die(x):
    if x == "always":
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster for all tests."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    here = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env=here,
    )
    yield
    ray.shutdown()


@pytest.fixture
def make(request):
    """Executors by kind."""

    def one(kind):
        if kind == "ray":
            request.getfixturevalue("cluster")
        return Compute(kind, workers=2 if kind == "processes" else None).executor()

    return one


ray_warns = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:.*:FutureWarning")


@ray_warns
@pytest.mark.parametrize("kind", KINDS)
def test_every_item_comes_back_with_its_result(kind, make):
    assert dict(make(kind).map(square, [1, 2, 3, 4, 5])) == {x: Done(x * x) for x in range(1, 6)}
    assert list(make(kind).map(square, [])) == []


@ray_warns
@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_that_fails_says_why_and_does_not_stop_the_rest(kind, make):
    found = dict(make(kind).map(picky, [0, 1, 2, 3]))
    assert found[0] == Done(0)
    assert found[3] == Done(3)
    assert found[1].reason == "one is not wanted"
    assert found[2].reason == "ZeroDivisionError: two"
    assert "in picky" in found[2].details


@ray_warns
@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_unit_whose_worker_is_killed_is_tried_again(kind, make, tmp_path):
    paths = [tmp_path / name for name in "abc"]
    assert dict(make(kind).map(die_once, paths)) == {path: Done(path.name) for path in paths}


@ray_warns
@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_unit_that_always_kills_its_worker_is_given_up(kind, make):
    found = dict(make(kind).map(die, ["always"]))
    assert isinstance(found["always"], Failed)
    assert "died 3 times" in found["always"].reason


DATA = Data("synthetic-microscopy", images=18, size=32, balanced=True)
TASK = Task("import:nets.blocks", epochs=1, batch_size=5, lr=1e-2, precision="32")
SPECS = {
    "synthesis": SynthesisSpec(
        DATA, Synthesis(["bi,s,ga"], folds=2, corruptions=["contrast"]), TASK
    ),
    "optimization": OptimizationSpec(
        DATA, Optimization(["frozen", "learned"], intensities=[1.0], folds=2, isp_lr=0.01), TASK
    ),
}


@ray_warns
@needs_ray
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("control", SPECS)
@pytest.mark.slow
def test_ray_gives_the_bytes_of_one_after_the_other(control, tmp_path):
    for kind in ("inline", "ray"):
        rd.run(SPECS[control], tmp_path / kind, Compute(kind, threads=1))
    results = [(tmp_path / kind / "results.csv").read_bytes() for kind in ("inline", "ray")]
    assert results[0] == results[1]


@needs_ray
@pytest.mark.slow
def test_a_unit_whose_node_dies_is_tried_on_another(tmp_path):
    script = Path(__file__).parent / "cluster_of_two.py"
    run = subprocess.run(
        [sys.executable, script, tmp_path],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
    )
    assert run.stdout.split()[-1:] == ["Done"], run.stderr


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Compute("cloud"), "unknown compute 'cloud'.*inline; processes; ray"),
        (lambda: Compute("inline", workers=2), "workers is for compute processes"),
        (lambda: Compute("processes", workers=0), "workers must be at least 1"),
        (lambda: Compute(threads=0), "threads must be at least 1"),
        (lambda: Compute("processes", gpus=1), "gpus is for compute ray"),
    ],
)
def test_what_can_not_be_is_refused(build, message):
    with pytest.raises(rd.InputError, match=message):
        build()


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(rd.InputError, match=r"pip install \"rawdrift\[ray\]\""):
        list(Compute("ray").executor().map(square, [1]))


SCRIPT = """
import signal, sys, time
from pathlib import Path
from rawdrift.runs.executor import Processes

def work(path):
    path.touch()
    time.sleep(600)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    try:
        list(Processes(2).map(work, [folder / "a", folder / "b"]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def alive(folder):
    """Processes that have this folder in their command line or are children of such ones."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (proc / "environ").read_bytes():
                found.append(int(proc.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_run_that_is_stopped(kill, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    mark = {**os.environ, "RAWDRIFT_TEST": str(tmp_path)}
    run = subprocess.Popen([sys.executable, script, tmp_path], env=mark)
    deadline = time.monotonic() + 60
    while not ((tmp_path / "a").exists() and (tmp_path / "b").exists()):
        assert time.monotonic() < deadline
    run.send_signal(kill)
    assert run.wait(60) == (130 if kill == signal.SIGINT else -signal.SIGKILL)
    while alive(tmp_path):
        assert time.monotonic() < deadline
