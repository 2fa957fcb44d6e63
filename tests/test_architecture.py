"""The floors of the house, and what a first look costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_imports_go_down_the_floors_only():
    found = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import rawdrift; rawdrift.Camera.load('raw-drone')",
        "from rawdrift.cli import parser; parser.build()",
        "import rawdrift.runs.store",
        "import rawdrift.corruptions.table",
        "import rawdrift.camera.decode",
    ],
)
def test_what_needs_no_torch_does_not_import_it(code):
    heavy = ["torch", "matplotlib", "sklearn", "torchvision", "scipy"]
    check = f"{code}\nimport sys\nprint([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import rawdrift as rd

    for name in rd.__all__:
        assert getattr(rd, name) is not None
    for name in rd.isp.__all__:
        assert getattr(rd.isp, name) is not None
    assert set(rd.__all__) <= set(dir(rd))
    with pytest.raises(AttributeError, match="ips"):
        _ = rd.ips
