# `make check` is what CI runs. It takes the tools of .venv where there is one.
BIN := $(if $(wildcard .venv/bin/python),.venv/bin/)

.PHONY: check lint types test slow docs schemas

check: lint types test

lint:
	$(BIN)ruff check .
	$(BIN)ruff format --check .

types:
	$(BIN)mypy

test:
	$(BIN)python -m pytest -n 2 --dist loadfile  # what the tests of a file share is made once

slow:  # tests of a cluster, of a server, and of GPU kernels in an interpreter
	$(BIN)python -m pytest -n 2 -m slow

docs:  # site/index.html, after installing the extra docs; warnings and failing examples are errors
	@$(BIN)python -c "import furo, myst_parser, rawdrift, sphinx_design, sphinx_gallery" 2> /dev/null \
		|| { python3 -m venv .venv && .venv/bin/pip install --quiet -e ".[docs]"; }
	$$(ls .venv/bin/python 2> /dev/null || echo python) -m sphinx -W --keep-going -q -j 2 -d build/docs docs site

schemas:  # of results, and what kernels need of static ISPs, which ship with the package
	$(BIN)python -c "from rawdrift.controls import CONTROLS, result; from rawdrift.isp.fused import static; \
		[path.write_text(text) for path, text in [*map(result.schema_file, CONTROLS), static.table_file()]]"
