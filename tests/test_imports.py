"""The user's own code: found where it is named, and never imported because a file says so."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import nets
import rawdrift as rd
from rawdrift import imports
from rawdrift.cli import main


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that leaves a trace when it is imported."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").write_text("import pathlib\npathlib.Path('trace').touch()\n")
    (tmp_path / "mine/parts.py").write_text("VALUE = 3\n\ndef double(x):\n    return 2 * x\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("mine", "mine.parts", "broken"):
        sys.modules.pop(name, None)


def test_a_name_is_found_in_the_working_folder(package):
    assert imports.resolve("import:mine.parts.double", "field")(2) == 4
    assert imports.resolve("import:mine.parts.VALUE", "field") == 3
    assert imports.resolve("import:math.pi", "field") == pytest.approx(3.14159, abs=1e-5)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mine.parts.double", "field must have the form import:package.module.name, got 'mine"),
        ("import:mine", "field must have the form"),
        ("import:mine.parts.", "field must have the form"),
        ("import:mine.parts.double(1)", "field must have the form"),
        ("import:mine.part.double", "field import:mine.part.double: there is no module mine.part"),
        ("import:mine.parts.triple", "mine.parts has no triple; it has VALUE, double"),
        ("import:broken.x", "broken can't be imported: ZeroDivisionError"),
    ],
)
def test_a_name_that_is_not_there_is_an_error_of_the_user(reference, message, package):
    with pytest.raises(rd.InputError, match=message.replace("(", r"\(")):
        imports.resolve(reference, "field")


def test_a_file_names_code_only_with_permission(package):
    names = imports.references({"model": "import:mine.parts.double", "list": [1, "['import:a.b']"]})
    assert names == {"import:mine.parts.double", "import:a.b"}
    with imports.allowing(["import:mine.parts.double"]):
        imports.check_allowed(["import:mine.parts.double"], "x.toml")
        with imports.allowing(["a.b"]):
            imports.check_allowed(names, "x.toml")
        with pytest.raises(rd.InputError, match=r"x.toml names code to import, import:a.b;"):
            imports.check_allowed(names, "x.toml")
    with pytest.raises(
        rd.InputError, match=r"if you trust it, allow it: allow_import=\['import:a.b'\]"
    ):
        imports.check_allowed(names, "x.toml")
    with pytest.raises(rd.InputError, match="allow_import takes"), imports.allowing(["mine"]):
        pass
    assert not (package / "trace").exists()


def test_a_permission_ends_with_its_block_and_is_of_one_thread(package):
    with imports.allowing(["import:a.b"]), ThreadPoolExecutor(1) as other:
        assert imports.allowed() == {"import:a.b"}
        assert other.submit(imports.allowed).result() == frozenset()
    assert imports.allowed() == frozenset()


def test_a_checksum_changes_with_the_source(package):
    before = imports.checksum("import:mine.parts.double", "field")
    (package / "mine/parts.py").write_text("VALUE = 3\n\ndef double(x):\n    return x + x\n")
    assert imports.checksum("import:mine.parts.double", "field") != before
    assert imports.checksum("import:builtins.len", "field") == ""
    assert imports.checksum("import:numpy.linalg.norm", "field") == ""


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("import other", "other.py"),
        ("import other as o, math", "other.py"),
        ("from other import VALUE", "other.py"),
        ("from other import *", "other.py"),
        ("def late():\n    import other", "other.py"),
        ("import importlib\nimportlib.import_module('other')", "other.py"),
        ("import importlib\nimportlib.import_module('oth' + 'er')", "other.py"),
        ("import runpy\nrunpy.run_path(__file__[:-13] + 'other.py')", "other.py"),
        ("import pathlib\nexec(pathlib.Path(__file__[:-13] + 'other.py').read_text())", "other.py"),
        ("import numpy\nnumpy.fromfile(__file__[:-13] + 'other.py', 'u1')", "other.py"),
        ("from . import near", "mine/near.py"),
        ("from .near import VALUE", "mine/near.py"),
        ("from mine.deep.down import VALUE", "mine/deep/down.py"),
        ("from mine.deep import down", "mine/deep/down.py"),
        ("import mine.deep.down", "mine/deep/__init__.py"),
        ("from .deep.down import VALUE", "beyond.py"),
        ("", "mine/__init__.py"),
    ],
)
def test_a_checksum_changes_with_every_module_that_is_imported(statement, changed, package):
    (package / "mine/deep").mkdir()
    names = ["other", "beyond", "mine.near", "mine.deep", "mine.deep.down"]
    for file in ("other.py", "beyond.py", "mine/near.py", "mine/deep/__init__.py"):
        (package / file).write_text("VALUE = 1\n")
    (package / "mine/deep/down.py").write_text("from beyond import VALUE\n")
    (package / "mine/parts.py").write_text(f"{statement}\n\ndef double(x):\n    return 2 * x\n")
    (package / "unused.py").write_text("VALUE = 1\n")
    try:
        before = imports.checksum("import:mine.parts.double", "field")
        loaded = {*sys.modules}
        (package / "unused.py").write_text("VALUE = 2\n")
        assert imports.checksum("import:mine.parts.double", "field") == before
        with (package / changed).open("a") as file:
            file.write("# changed\n")
        assert imports.checksum("import:mine.parts.double", "field") != before
        assert {*sys.modules} == loaded
    finally:
        for name in names:
            sys.modules.pop(name, None)


def test_a_checksum_changes_with_what_a_factory_reads_and_not_with_what_it_writes(package):
    (package / "mine/parts.py").write_text(
        "def network():\n"
        "    with open('log', 'a') as file:\n"
        "        file.write('made')\n"
        "    with open('code.txt') as file:\n"
        "        exec(file.read())\n"
    )
    (package / "code.txt").write_text("a = 1\n")
    network = imports.resolve("import:mine.parts.network", "field")

    def checksum():
        with imports.tracing("import:mine.parts.network"):
            network()
        return imports.checksum("import:mine.parts.network", "field")

    before = checksum()
    assert checksum() == before
    (package / "code.txt").write_text("a = 2\n")
    assert checksum() != before


@pytest.mark.parametrize("given", [["--allow_import", "mine.double"], ["--allow_import=a b"]])
def test_a_wrong_permission_is_refused(given, capsys):
    assert main(["develop", "a.npy", "--out", "views", *given]) == 2
    assert "allow_import takes import:package.module.name, got" in capsys.readouterr().err


@rd.corruptions.corruption(imagenet={"offset": (0.1, 0.2, 0.3, 0.4, 0.5)})
def darkness(views, streams, offset):
    return views - offset


def test_what_can_be_imported_may_be_given_itself():
    task = rd.Task(model=nets.blocks, metric=nets.mean)
    assert (task.model, task.metric) == ("import:nets.blocks", "import:nets.mean")
    assert rd.Data(nets.pixels).name == "import:nets.pixels"
    reference = f"import:{__name__}.darkness"
    assert rd.Synthesis(corruptions=[darkness, "fog"]).corruptions == [reference, "fog"]
    assert rd.Forensics(isp=nets.pixels, metric=nets.mean).isp == "import:nets.pixels"


ISP = rd.isp.static("bi,s,ga", rd.Camera.load("raw-drone"))
MADE = {
    "a local function": (lambda: rd.Task(model=lambda n: None), "task.model is .*<lambda>.*top level of a module"),
    "a decorated name": (lambda: rd.Task(metric=Renamed), "task.metric is Other of .*, which other processes can't"),
    "a number": (lambda: rd.Task(model=3), "task.model must be a name, or a function or class, got 3"),
    "a network": (lambda: rd.Task(model=ISP), "task.model must be a name, or a function"),
    "an ISP": (lambda: rd.Synthesis(train=[ISP]), "synthesis.train is an object, Pipeline.*save it with"),
    "an ISP to learn": (lambda: rd.Optimization(isp=ISP), "optimization.isp is an object, Pipeline"),
    "no ISP": (lambda: rd.Forensics(isp=3), "forensics.isp must be a name"),
}  # fmt: skip


class Renamed:
    __qualname__ = "Other"


@pytest.mark.parametrize("name", MADE)
def test_what_can_not_be_imported_is_refused(name):
    make, message = MADE[name]
    with pytest.raises(rd.InputError, match=message):
        make()
