"""Work that threads share."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from rawdrift import machine


@pytest.fixture(params=["OpenMP", "Python"])
def threads_of(request, monkeypatch):
    """Whose threads take the work."""
    if request.param == "Python":
        monkeypatch.setattr(machine, "_team", lambda: None)
    elif machine._team() is None:
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
