# `make check` is what CI runs. It takes the tools of .venv where there is one.
BIN := $(if $(wildcard .venv/bin/python),.venv/bin/)

.PHONY: check lint types test docs

check: lint types test

lint:
	$(BIN)ruff check .
	$(BIN)ruff format --check .

types:
	$(BIN)mypy

test:
	$(BIN)python -m pytest -n 2

docs:
	$(BIN)pdoc -o site rawdrift rawdrift.camera.camera rawdrift.camera.read \
		rawdrift.data.dataset rawdrift.data.manifest rawdrift.data.splits \
		rawdrift.tasks.task rawdrift.tasks.train rawdrift.controls.synthesis \
		rawdrift.controls.statistics rawdrift.runs.spec rawdrift.runs.store rawdrift.report
