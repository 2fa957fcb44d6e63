"""Work that threads share, and kernels of which each thread does some parts."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from rawdrift import machine

parallel = pytest.importorskip("rawdrift.parallel")


@pytest.fixture(params=["OpenMP", "Python"])
def threads_of(request, monkeypatch):
    """Whose threads take the work."""
    if request.param == "Python":
        monkeypatch.setattr(machine, "openmp", lambda: 0)
    elif not machine.openmp():
        pytest.skip("PyTorch has another OpenMP here, or none")


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_every_item_is_taken_once(count, threads, threads_of):
    taken = []
    assert machine.for_each(lambda item: taken.append(item) is None, range(count), threads)
    assert sorted(taken) == list(range(count))


def test_several_threads_work_at_a_time(threads_of):
    meeting = threading.Barrier(2, timeout=60)
    assert machine.for_each(lambda _: meeting.wait() >= 0, range(2), 2)


@pytest.mark.parametrize("who", ["the caller", "another"])
def test_an_error_of_any_thread_is_the_caller_s(who, threads_of):
    meeting, caller = threading.Barrier(2, timeout=60), threading.get_ident()

    def work(item):
        meeting.wait()
        if (threading.get_ident() == caller) == (who == "the caller"):
            raise KeyError(item)
        return True

    with pytest.raises(KeyError):
        machine.for_each(work, range(2), 2)


def test_no_thread_works_on_after_an_error(threads_of):
    meeting, failed, ended = threading.Barrier(2, timeout=60), threading.Event(), []
    caller = threading.get_ident()

    def work(item):
        meeting.wait()
        if threading.get_ident() == caller:
            failed.set()
            raise KeyboardInterrupt
        failed.wait(60)
        ended.extend([torch.rand(1000, 1000).sum(), item])
        return True

    with pytest.raises(KeyboardInterrupt):
        machine.for_each(work, range(2), 2)
    assert len(ended) == 2


def test_false_of_any_thread_is_the_answer(threads_of):
    meeting = threading.Barrier(2, timeout=60)
    assert not machine.for_each(lambda item: meeting.wait() >= 0 and item > 0, range(2), 2)


def test_threads_of_the_caller_s_threads(threads_of):
    found = []

    def share():
        found.append(machine.for_each(lambda _: bool(torch.ones(9).sum() == 9), range(20), 2))

    callers = [threading.Thread(target=share) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [True] * 3


def count_up(i, taken, bad):
    if i == bad:
        return False
    taken[i] += 1
    return True


def fail(i, taken):
    taken[i] += 1
    if i == 5:
        raise MemoryError
    return True


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_kernel_does_every_part_once(threads, threads_of):
    run = parallel.parts(count_up)
    for count in (0, 1, 2, 1000):
        taken = np.zeros(1000, np.int64)
        assert run(count, threads, taken, -1)
        assert taken.tolist() == [1] * count + [0] * (1000 - count)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_part_that_is_not_well_is_the_answer(threads, threads_of):
    taken = np.zeros(9, np.int64)
    assert not parallel.parts(count_up)(9, threads, taken, 4)
    assert taken[4] == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_memory_that_a_part_lacks_is_an_error(threads, threads_of):
    with pytest.raises(MemoryError):
        parallel.parts(fail)(9, threads, np.zeros(9, np.int64))


def test_kernels_of_one_function_stay_apart_where_they_are_kept(tmp_path):
    """Each is compiled in a process of its own, and both are loaded in a third."""
    code = """
import sys, numpy as np
from rawdrift import parallel
def scaled(i, out):
    out[i] = i * SCALE
    return True
for scale in map(int, sys.argv[1:]):
    out = np.zeros(3)
    assert parallel.parts(scaled, SCALE=scale)(3, 1, out) and out[2] == 2 * scale, out
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for scales in ("2", "3", "23"):
        subprocess.run([sys.executable, "-c", code, *scales], check=True, env=environment)
    assert len([*tmp_path.rglob("*.nbc")]) == 2


KEPT = """
import resource, sys, numpy as np
from pathlib import Path
from rawdrift import parallel
def twice(i, out):
    out[i] = 2 * i
    return True
if sys.argv[1] == "full":
    import rawdrift.machine, numba.np.linalg
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
if sys.argv[1] == "cut":
    for path in map(Path, sys.argv[2:]):
        path.write_bytes(path.read_bytes()[:100])
out = np.zeros(3)
assert parallel.parts(twice)(3, 1, out) and out[2] == 4, out
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_without_room_for_kernels_is_no_error(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", KEPT, "full"], check=True, env=environment)
    assert not [*tmp_path.rglob("*.nbc")]


@pytest.mark.parametrize("end", ["nbi", "nbc"])
def test_a_kept_kernel_that_was_cut_short_is_compiled_again(tmp_path, end):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", KEPT, "keep"], check=True, env=environment)
    (kept,) = tmp_path.rglob(f"*.{end}")
    subprocess.run([sys.executable, "-c", KEPT, "cut", kept], check=True, env=environment)
    assert kept.stat().st_size > 100


def test_without_a_compiler_the_steps_run():
    code = """
import torch, rawdrift as rd
isp, x = rd.isp.static("bi,s,ga", rd.Camera.load("raw-drone")), torch.rand(8, 8)
with rd.isp.engine("eager"):
    expected = isp(x)
assert torch.equal(isp(x), expected)
with rd.isp.engine("fused"):
    try:
        isp(x)
    except rd.InputError as error:
        raise SystemExit("disabled" not in str(error))
raise SystemExit("no error")
"""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, env=environment)


def test_no_python_runs_when_memory_is_returned():
    """Ctrl+C that arrived there would be lost."""
    called = []
    array = machine.empty(4, 5)
    sys.setprofile(lambda frame, event, _: called.append(event))
    array = None
    sys.setprofile(None)
    assert array is None
    assert "call" not in called


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is for POSIX")
def test_a_forked_child_has_no_threads_to_wait_for():
    code = """
import os, torch
from rawdrift import machine
torch.set_num_threads(2)
machine.for_each(lambda _: True, range(8), 2)
child = os.fork()
if not child:
    machine.for_each(lambda _: True, range(8), 2)
    os._exit(int(torch.ones(3_000_000).add_(1).sum()) != 6_000_000)
raise SystemExit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
