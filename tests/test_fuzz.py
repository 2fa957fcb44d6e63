"""Damaged files of every kind end in a result or an InputError: a small part of benchmarks/fuzz.py."""

from benchmarks.fuzz import campaign


def test_damaged_files_are_read_or_refused():
    assert campaign(15) == []
