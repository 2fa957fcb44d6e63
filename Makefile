# `make check` is what CI runs. It takes the tools of .venv where there is one.
BIN := $(if $(wildcard .venv/bin/python),.venv/bin/)

.PHONY: check lint types test docs schemas

check: lint types test

lint:
	$(BIN)ruff check .
	$(BIN)ruff format --check .

types:
	$(BIN)mypy

test:
	$(BIN)python -m pytest -n 2

docs:
	$(BIN)pdoc -o site rawdrift

schemas:  # of results, which ship with the package
	$(BIN)python -c "from rawdrift.controls import CONTROLS, result; \
		[path.write_text(text) for path, text in map(result.schema_file, CONTROLS)]"
