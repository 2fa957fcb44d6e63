"""The public Python API: pages of a module, docstrings as they are written here, and checks.

A docstring is plain text: paragraphs, lists with "-", indented or bare code, and fields, "name:
what it is", of arguments and attributes. Every public name must have one.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from textwrap import dedent
from typing import Any

from docutils import nodes
from sphinx.util import logging

import rawdrift

log = logging.getLogger(__name__)

MODULES: dict[str, tuple[str, ...] | None] = {
    "rawdrift": None,
    "rawdrift.isp": None,
    "rawdrift.sensor": None,
    "rawdrift.corruptions": None,
    "rawdrift.data": None,
    "rawdrift.statistics": None,
    "rawdrift.forensics": None,
    "rawdrift.models.predict": ("predict",),
    "rawdrift.models.deploy": ("to_onnx", "to_export"),
    "rawdrift.models.targets": ("Targets",),
    "rawdrift.data.describe": ("describe",),
    "rawdrift.data.splits": ("k_fold", "Split"),
    "rawdrift.camera.camera": ("Noise", "Optics", "shipped"),
    "rawdrift.camera.calibrate": ("Calibration", "calibrate"),
    "rawdrift.camera.write_dng": ("dng",),
    "rawdrift.corruptions.streams": ("normal", "uniform", "integers", "poisson"),
    "rawdrift.neighborhood": ("extend", "correlate", "along_rows", "along_columns"),
}
"""Public names by module; None: of its `__all__`. What several have is documented in the first."""


def find(name: str) -> Any:
    """Return what a dotted name says. Raises AttributeError or ImportError."""
    found: Any = rawdrift
    for part in name.split(".")[1:]:
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{part}")
    return found


def names(module: str) -> list[str]:
    """Return the public names of a module, without its modules."""
    of = find(module)
    listed = MODULES[module] or of.__all__
    return [name for name in listed if not inspect.ismodule(getattr(of, name))]


@cache
def documented() -> dict[int, str]:
    """Return where public objects are documented, by their identity."""
    where: dict[int, str] = {}
    for module in MODULES:
        for name in names(module):
            where.setdefault(id(getattr(find(module), name)), f"{module}.{name}")
    return where


def api(module: str) -> str:
    """Return the names of a module as a table, and each with its docstring, as Markdown."""
    of = find(module)
    rows, entries = [], []
    for name in names(module):
        value, full = getattr(of, name), f"{module}.{name}"
        home = documented()[id(value)]
        is_data = not callable(value) or isinstance(value, tuple)
        text = "" if is_data else inspect.getdoc(value) or ""
        rows.append(f"| {{py:obj}}`~{home}` | {cell(text)} |")
        if home != full:
            continue
        if is_data:
            entries.append(f".. py:data:: {full}\n   :value: {value!r}\n")
        elif inspect.isclass(value):
            entries.append(f".. autoclass:: {full}\n   :members:\n")
        else:
            entries.append(f".. autofunction:: {full}\n")
    table = "\n".join(["| name | |", "|---|---|", *rows])
    body = "\n".join(entries)
    return f"{table}\n\n```{{eval-rst}}\n{body}\n```\n"


def cell(docstring: str) -> str:
    """Return the first sentence of a docstring for a cell of a Markdown table."""
    first = " ".join(docstring.split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.:])\s+(?=[A-Z])", first)[0]
    return re.sub(r"([|*<])", r"\\\1", sentence)


def _fields(value: Any) -> set[str]:
    """Return the names that a docstring may describe: arguments and attributes."""
    found = set()
    with suppress(TypeError, ValueError):
        found |= {*inspect.signature(value).parameters}
    if inspect.isclass(value):
        for base in value.__mro__[:-1]:
            if base.__module__.startswith("rawdrift"):
                found |= {*inspect.get_annotations(base), *vars(base)}
    return found


def rst(lines: list[str], fields: set[str]) -> Iterator[str]:
    """Yield a docstring as reStructuredText."""
    text = "\n".join(lines).strip("\n")
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("Args:\n"):
            block = dedent(block.removeprefix("Args:\n"))
        if pairs := _pairs(block, fields):
            for name, said in pairs:
                yield ", ".join(f"``{part}``" for part in name.split(", "))
                yield f"   {_escaped(said)}"
                yield ""
        elif all(line.startswith("    ") for line in block.split("\n")) or _is_code(block):
            literal = dedent(block).split("\n")
            yield from ["::", "", *(f"   {line}" for line in literal), ""]
        else:
            yield from [*map(_escaped, block.split("\n")), ""]


def _pairs(block: str, fields: set[str]) -> list[tuple[str, str]]:
    """Return the fields that a block describes, or none."""
    heads = [line for line in block.split("\n") if not line.startswith(" ")]
    if all(re.match(r"[\w-]+(, [\w-]+)*: ", head) for head in heads):  # names of something else
        fields = fields | {one for head in heads for one in head.split(":")[0].split(", ")}
    known = "|".join(sorted(map(re.escape, fields), key=len, reverse=True))
    if not known:
        return []
    head = rf"(?:^|(?<=\.)\s+|\n)((?:{known})(?:, (?:{known}))*): "
    parts = re.split(head, block)
    if parts[0].strip():
        return []
    said = [" ".join(part.split()) for part in parts[2::2]]
    return list(zip(parts[1::2], said, strict=True))


def _is_code(block: str) -> bool:
    try:
        tree = ast.parse(dedent(block))
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Assign | ast.FunctionDef) for node in tree.body)


def _escaped(line: str) -> str:
    """Escape what reStructuredText would take for markup, outside of backticks."""
    parts = re.split(r"(``[^`]*``|`[^`]*`)", line)
    return "".join(
        part if i % 2 else re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", part)
        for i, part in enumerate(parts)
    )


def _docstring(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = rst(lines, _fields(value))


def _check(app: Any) -> None:
    """Warn of public names without a docstring."""
    for module in MODULES:
        for name in names(module):
            value = getattr(find(module), name)
            if not callable(value):
                continue
            if not inspect.getdoc(value):
                log.warning("%s.%s has no docstring; write one", module, name)
            if not inspect.isclass(value):
                continue
            for member, own in vars(value).items():
                own = getattr(own, "__func__", own)
                is_public = inspect.isfunction(own) or isinstance(own, property)
                if is_public and member[0] != "_" and not inspect.getdoc(getattr(value, member)):
                    log.warning("%s.%s.%s has no docstring; write one", module, name, member)


def _resolve(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Resolve a name by the object that it names, which may be documented elsewhere.

    Names of other packages, and rawdrift's own that are not public, are shown as text. A name that
    doesn't exist stays unresolved, which is an error.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if not target.startswith("rawdrift"):
        within = node.get("py:module"), node.get("py:class")
        if "refwarn" in node and not any(within) and target.isidentifier():
            return text
        if target.split(".")[0] not in {"rd"}:
            return text
    try:
        home = documented().get(id(find(target)))
    except (AttributeError, ImportError):
        return None
    if home is None:
        return text
    domain = env.get_domain("py")
    if home not in domain.objects:
        return text
    at = domain.objects[home]
    return nodes.reference(
        "", "", text, internal=True, reftitle=home,
        refuri=app.builder.get_relative_uri(node["refdoc"], at.docname) + "#" + at.node_id,
    )  # fmt: skip


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", _check)
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
