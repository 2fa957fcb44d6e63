"""Evidence: a finished run as one file in which every changed byte is noticed.

A ZIP archive of the run's spec, records, result and page, and of `evidence.json`: what is claimed
and how, the hash of every file, of the data, the model and the code, and the environment. The
archive ends in the SHA-256 of all bytes before it. That shows that a file is as it was written, not
who wrote it: for that, sign it (`keys`).
"""

import hashlib
import io
import platform
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import yaml

import rawdrift
from rawdrift import files
from rawdrift.checks import InputError
from rawdrift.controls.evidence import keys
from rawdrift.controls.evidence.signature import Signature
from rawdrift.controls.result import SUMMARY, load_result
from rawdrift.controls.run import control_of_result, lines
from rawdrift.runs.spec import places, read_yaml

MANIFEST, SIGNED = "evidence.json", "evidence.sig.json"
_MARK = b"rawdrift evidence, SHA-256 "
_MOMENT = (1980, 1, 1, 0, 0, 0)
_DIGEST = 64  # letters
_MOST = 1 << 30  # bytes that an archive may unpack to
_FILES = ("spec.yaml", SUMMARY, "results.csv", "report.html", "signature.json", "run.log")
_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "numba", "rawpy", "msgspec", "scikit-learn")


class Claim(msgspec.Struct, frozen=True):
    """A sentence of the run, and how it was made."""

    statement: str
    method: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `evidence.json` says. inputs: SHA-256 of files that the spec names. code: of rawdrift's
    own files. files: SHA-256 of every other file in the archive but its signature."""

    format: Literal["rawdrift-evidence"] = "rawdrift-evidence"
    version: Literal[1] = 1
    rawdrift: str
    control: str
    claims: list[Claim]
    findings: list[str]
    data: dict[str, str | None]
    inputs: dict[str, str]
    code: str
    environment: dict[str, str]
    files: dict[str, str]


class Content(NamedTuple):
    """What an archive holds. changed: whether a byte is not as it was written; then, damage may
    leave no files."""

    files: dict[str, bytes]
    changed: bool

    @property
    def manifest(self) -> Manifest:
        return msgspec.json.decode(self.files[MANIFEST], type=Manifest)


def write(run: Path, out: Path, key: Path | None = None) -> int:
    """Pack a finished run as evidence; return how many files it has.

    key: an Ed25519 private key (PEM) to sign with. Texts name no folder of this user's.

    Raises InputError for what is no finished run, and if `out` exists or does not end in .zip.
    """
    files.check_suffix("out", out, ".zip", "an archive")  # by which `signature` knows it
    files.check_new(out)
    files.check_no_links(run)
    result = load_result(run)
    spec = read_yaml(run / "spec.yaml")
    contents = dict(_contents(run, spec))
    manifest = Manifest(
        rawdrift=rawdrift.__version__,
        control=result.kind,
        claims=[Claim(line, method(result)) for line in sentences(result, run)],
        findings=[finding.headline for finding in result.findings],
        data={"name": result.data.name, "fingerprint": result.data.fingerprint},
        inputs={p.name: files.sha256(p) for p in places(spec) if p.is_file()},
        code=code(),
        environment=environment(),
        files={name: hashlib.sha256(body).hexdigest() for name, body in contents.items()},
    )
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    whole = {MANIFEST: body, **contents}
    if key is not None:
        whole[SIGNED] = keys.sign(body, key)
    files.write(out, _archive(whole))
    return len(whole)


def read(path: Path) -> Content:
    """Return the content of an archive. Raises InputError for a file that is no evidence."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the file that rawdrift evidence wrote")
    try:
        content = files.read_bytes(path)
    except FileNotFoundError:
        raise InputError(f"evidence {path} does not exist") from None
    # A changed byte can hide one of the two marks, but not both.
    begins = content[30 : 30 + len(MANIFEST)] == MANIFEST.encode()
    tail = content[-len(_MARK) - _DIGEST :]
    ends = tail[: len(_MARK)] == _MARK
    if not ends and not begins:
        raise InputError(f"{path} is no evidence of rawdrift; give a file of rawdrift evidence")
    digest = hashlib.sha256(content[:-_DIGEST]).hexdigest().encode()
    changed = not ends or tail[-_DIGEST:] != digest
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST:
                raise InputError(f"it unpacks to more than {_MOST >> 20} MiB")
            found = {name: archive.read(name) for name in archive.namelist()}
        msgspec.json.decode(found[MANIFEST], type=Manifest)
    except Exception as error:  # whatever damage does to an archive
        if not changed:
            raise InputError(f"{path} can't be read: {error}") from None
        found = {}
    return Content(found, changed)


def wrong_hashes(content: Content) -> list[str]:
    """Return the files whose hash is not that of the manifest, or that it doesn't know."""
    stated = content.manifest.files
    there = {n: b for n, b in content.files.items() if n not in (MANIFEST, SIGNED)}
    wrong = [n for n, b in there.items() if stated.get(n) != hashlib.sha256(b).hexdigest()]
    return [*wrong, *(name for name in stated if name not in there)]


def signed_by(content: Content) -> tuple[bool, str] | None:
    """Return whether the Ed25519 signature of an archive holds, and its key; None without one."""
    signed = content.files.get(SIGNED)
    return None if signed is None else keys.is_signed(content.files[MANIFEST], signed)


def signature(path: Path, key: Path | None = None) -> tuple[Signature, str | None]:
    """Return the envelope's signature of a file, signature.json or evidence that holds one, and
    the public key in hexadecimal that it is signed with, None for an unsigned file.

    key: the public key (PEM) of who must have signed it. Raises InputError if it is not theirs, or
    if a byte was changed.
    """
    if path.suffix != ".zip":
        if key is not None:
            raise InputError(f"{path} is not signed with a key; give evidence of its run (.zip)")
        return Signature.load(path), None
    content = read(path)
    if content.changed or wrong_hashes(content):
        raise InputError(f"{path} has been changed since it was written; ask for the original")
    holds, public = signed_by(content) or (key is None, "")
    if not holds or (key is not None and keys.public_of(key) != public):
        raise InputError(f"{path} is not signed by {key or 'the key that it names'}")
    name = "signature.json"
    if name not in content.files:
        raise InputError(f"{path} holds no {name}; give evidence of a forensics run that has one")
    text = content.files[name].decode(errors="replace")
    return Signature.parse(text, f"{path}: {name}"), public or None


def sentences(result: Any, run: Path) -> list[str]:
    """Return what a run says in a terminal; its folder is called RUN, wherever it is."""
    return [line.replace(str(run), "RUN") for line in lines(result, run)]


def method(result: Any) -> str:
    """Say how the statements of a control were made."""
    page = control_of_result(result).load_page()
    return getattr(page, "METHOD", "see docs/explanation/ of this release")


def code() -> str:
    """Return the SHA-256 of rawdrift's own files."""
    root = Path(rawdrift.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()} {files.sha256(path)}\n".encode())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """Return the versions of Python, of the system and of what computes."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _contents(run: Path, spec: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a run by their names in the archive, without the user's folders."""
    named = places(spec)
    folders = [run.resolve(), *named]
    clean = files.without_paths(folders)
    clean_spec = files.without_paths(folders, others=False)
    isps = {str(path): f"inputs/{path.name}" for path in named if path.suffix == ".toml"}
    for name in _FILES:
        path = run / name
        if name == "spec.yaml":
            tree = _replaced(spec, isps)
            text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
            yield name, clean_spec(text).encode()
        elif path.is_file():
            body = path.read_bytes()
            yield name, clean(body.decode(errors="replace")).encode() if name == "run.log" else body
    for path in sorted([*run.glob("records/*.json"), *run.glob("isps/*.toml")]):
        yield path.relative_to(run).as_posix(), path.read_bytes()
    for text, name in sorted(isps.items()):
        yield name, Path(text).read_bytes()


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(part, names) for key, part in value.items()}
    if isinstance(value, list):
        return [_replaced(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


def _archive(contents: Mapping[str, bytes]) -> bytes:
    """Return the archive: the same contents give the same bytes on each machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        archive.comment = _MARK + b"0" * _DIGEST
        for name, body in contents.items():
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    head = buffer.getvalue()[:-_DIGEST]
    return head + hashlib.sha256(head).hexdigest().encode()
