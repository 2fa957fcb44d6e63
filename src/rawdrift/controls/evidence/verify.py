"""Verify evidence: what holds, what doesn't, and what could not be checked."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_type_hints

import msgspec
import torch

from rawdrift import imports
from rawdrift.checks import InputError, whole
from rawdrift.controls import CONTROLS
from rawdrift.controls.evidence import bundle, keys
from rawdrift.controls.evidence.bundle import Content
from rawdrift.controls.result import Result, load_result
from rawdrift.runs.spec import read_yaml, to_dict
from rawdrift.text import counted

_SKIPPED = {"images", "amplified", "views", "picture", "findings", "confusions", "expected"}
_SKIPPED |= {"alike", "spec", "root"}  # of pictures, of checks of the data, of places
_NEAR = 1e-9


class Check(NamedTuple):
    """A thing that was checked. verdict: "no" if it does not hold, "not checked" if it could not
    be. why: in words."""

    what: str
    verdict: Literal["yes", "no", "not checked"]
    why: str = ""

    def __str__(self) -> str:
        mark = {"yes": "holds", "no": "DOES NOT HOLD", "not checked": "not checked"}[self.verdict]
        return f"{mark}: {self.what}" + (f" ({self.why})" if self.why else "")


def verify(
    path: Path,
    root: Path | None = None,
    recompute: int = 0,
    model: Path | None = None,
    key: Path | None = None,
) -> Iterator[Check]:
    """Yield what was checked of an evidence file.

    root: where the data are on this machine. recompute: units to compute again from the data.
    model: the trained network, if the run tested one. key: the public key (PEM) of who must have
    signed it.

    Raises InputError for a file that is no evidence, for data that can't be read, and for units to
    compute again without what they were computed from.
    """
    whole("recompute", recompute, 0)
    content = bundle.read(path)
    if content.changed:
        yield Check("no byte was changed since the file was written", "no", "its checksum differs")
        if not content.files:
            return
    else:
        yield Check("no byte was changed since the file was written", "yes")
    wrong = bundle.wrong_hashes(content)
    yield Check(
        f"every file has its hash ({counted(len(content.manifest.files), 'file')})",
        "no" if wrong else "yes",
        ", ".join(wrong),
    )
    yield from _signature(content, key)
    if content.changed or wrong:
        return  # nothing in it is worth reading
    with tempfile.TemporaryDirectory(prefix="rawdrift-") as folder:
        run = Path(folder, "run")
        for name, body in content.files.items():
            target = (run / name).resolve()
            if not target.is_relative_to(run.resolve()):
                raise InputError(f"{path} holds a file outside of its folder: {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
        result = load_result(run)
        yield from _sentences(content, result, run)
        yield _code(content)
        yield from _numbers(content, result, run, root, recompute, model)


def _signature(content: Content, key: Path | None) -> Iterator[Check]:
    signed = bundle.signed_by(content)
    if signed is None:
        if key is not None:
            yield Check("it is signed", "no", "it has no signature")
        return
    holds, public = signed
    if key is not None and holds and keys.public_of(key) != public:
        yield Check("it is signed by the given key", "no", f"the key is {public}")
    else:
        yield Check("its Ed25519 signature", "yes" if holds else "no", public and f"key {public}")


def _sentences(content: Content, result: Result, run: Path) -> Iterator[Check]:
    stated = [claim.statement for claim in content.manifest.claims]
    again = bundle.sentences(result, run)
    what = f"every headline sentence follows from the result ({counted(len(again), 'sentence')})"
    different = [one for one in again if one not in stated] or [*stated[len(again) :]]
    yield Check(what, "no" if stated != again else "yes", "; ".join(different))


def _code(content: Content) -> Check:
    same = content.manifest.code == bundle.code()
    why = "" if same else f"it was rawdrift {content.manifest.rawdrift}, with other files"
    return Check("this is the code that computed it", "yes" if same else "not checked", why)


def _numbers(
    content: Content,
    result: Result,
    run: Path,
    root: Path | None,
    recompute: int,
    model: Path | None,
) -> Iterator[Check]:
    """Check results.csv, and with the data, the result and some units."""
    control = CONTROLS[result.kind]
    kind = control.load_experiment()
    what = "every number of the result follows from the records"
    try:
        spec = _spec(control.spec, run, root, model)
    except InputError as error:
        if recompute:
            raise
        yield Check(what, "not checked", str(error))
        return
    with imports.allowing(imports.references(to_dict(spec))):  # `_spec` has asked
        experiment = kind(spec)
        same = experiment.material.data.fingerprint() == result.data.fingerprint
        yield Check("the data are those of the run", "yes" if same else "no")
        store = kind.store(spec, Path(run.parent, "again"))
        store.folder = run
        units = {unit.name: unit for unit in experiment.units}
        records = store.records(units)
        rows = store._lines([], header=True)
        rows += b"".join(store._lines(one.record.rows) for one in records)
        held = (run / "results.csv").read_bytes() == rows
        yield Check("results.csv holds the rows of the records", "yes" if held else "no")
        if not same:
            return
        again = experiment.analyze(records, result.failed)
        if result.findings:
            again = experiment.withhold(msgspec.structs.replace(again, findings=result.findings))
        wrong = [*_different(msgspec.to_builtins(again), msgspec.to_builtins(result))]
        yield Check(what, "no" if wrong else "yes", "; ".join(wrong[:3]))
        for name, unit in list(units.items())[:recompute]:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            record = experiment.compute(unit, device, Path(run.parent, "unit.ckpt"), lambda: None)
            stored = store.read(name)
            equal = stored is not None and [
                *_different(msgspec.to_builtins(record), msgspec.to_builtins(stored.record))
            ]
            why = "; ".join((equal or [])[:3]) if equal is not False else "it has no record"
            yield Check(f"computed again, {unit.label} is the same", "no" if why else "yes", why)


def _spec(kind: type, run: Path, root: Path | None, model: Path | None) -> Any:
    """Return the spec with the data, the ISP files and the network of this machine."""
    tree = read_yaml(run / "spec.yaml")
    data, task = tree["data"], tree.get("task", {})
    if "root" in data:
        if root is None:
            raise InputError("the data are not at hand; give their folder: --data ROOT")
        data["root"] = str(root)
    if "checkpoint" in task:
        if model is None:
            raise InputError("the trained network is not at hand; give its file: --model FILE")
        task["checkpoint"] = str(model)
    imports.check_allowed(imports.references(tree), "the evidence")
    return _build(kind, _placed(tree, run))


def _placed(value: Any, run: Path) -> Any:
    if isinstance(value, dict):
        return {key: _placed(part, run) for key, part in value.items()}
    if isinstance(value, list):
        return [_placed(part, run) for part in value]
    is_input = isinstance(value, str) and value.startswith("inputs/")
    return str(run / value) if is_input else value


def _build(kind: type, tree: dict[str, Any]) -> Any:
    hints = get_type_hints(kind)
    return kind(
        **{
            field.name: _build(hints[field.name], tree[field.name])
            if is_dataclass(hints[field.name])
            else tree[field.name]
            for field in fields(kind)
            if field.name in tree
        }
    )


def _different(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Yield where two results differ: numbers, and names; what has no pictures yet is skipped."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key, value in one.items():
            if key not in _SKIPPED:
                yield from _different(
                    value, other.get(key), f"{where}.{key}" if where else str(key)
                )
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if one and len(one) != len(other):
            yield f"{where} has {len(other)} entries, not {len(one)}"
            return
        for i, (a, b) in enumerate(zip(one, other, strict=False)):
            yield from _different(a, b, f"{where}[{i}]")
    elif isinstance(one, int | float) and isinstance(other, int | float):
        if not math.isclose(one, other, rel_tol=_NEAR, abs_tol=_NEAR):
            yield f"{where} is {other}, not {one}"
    elif one is not None and one != other:
        yield f"{where} is {other!r}, not {one!r}"
