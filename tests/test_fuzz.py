"""Damaged files of every kind end in a result or an InputError: a small part of benchmarks/fuzz.py."""

from benchmarks.fuzz import KINDS, KINDS_OF_RUNS, campaign


def test_damaged_files_are_read_or_refused():
    files = {name: kind for name, kind in KINDS.items() if name != "server"}
    assert campaign(15, kinds=files) == []


def test_servers_and_damaged_run_folders_are_read_or_refused():
    names = [f"synthesis {name}" for name in ("summary.json", "record")]
    runs = {name: KINDS_OF_RUNS[name] for name in names}
    assert campaign(2, kinds={"server": KINDS["server"], **runs}) == []
