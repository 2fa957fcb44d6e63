"""Evidence: a run as one file in which every changed byte is noticed."""

import json
import os
import random
import shutil
import subprocess
import zipfile
from dataclasses import replace

import pytest

import rawdrift as rd
from planted import CAMERA
from rawdrift.cli import main
from rawdrift.controls import CONTROLS
from rawdrift.controls.evidence import bundle
from rawdrift.controls.evidence.verify import verify
from test_signature import signed as planted_signature

from conftest import write_folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The data, the run, and its evidence."""
    folder = tmp_path_factory.mktemp("evidence")
    rows = [{"image": f"{i}.tif", "label": "ab"[i % 2]} for i in range(40)]
    root = write_folder(folder / "data", rows, size=(32, 32), dark=("a",))
    camera = rd.Camera.load(root / "camera.toml")
    isp = rd.isp.static("bi,s,ga", camera).replace(gamma=rd.isp.Gamma(1.8))
    rd.isp.save(isp, folder / "firmware.toml", camera)
    spec = rd.ComparisonSpec(
        rd.Data(root=str(root)),
        rd.Comparison("bi,s,ga", str(folder / "firmware.toml"), margin=0.2, folds=2),
        rd.Task("import:nets.blocks", epochs=8, batch_size=8, lr=3e-2, precision="32"),
    )
    rd.run(spec, folder / "run")
    assert main(["report", str(folder / "run")]) == 0
    assert main(["evidence", str(folder / "run"), "--out", str(folder / "run.zip")]) == 0
    return folder


ALLOW = ["--allow_import", "import:nets.blocks"]


def test_it_holds_with_a_copy_of_the_data_elsewhere(made, tmp_path, capsys):
    copy = shutil.copytree(made / "data", tmp_path / "copy")
    command = ["verify", str(made / "run.zip"), "--data", str(copy), "--recompute", "1", *ALLOW]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "holds: every number of the result follows from the records" in printed
    assert "holds: computed again, fold 1 is the same" in printed
    assert "NOT HOLD" not in printed


def test_what_can_not_be_computed_again_is_an_error(made, capsys):
    for count, said in (("1", "the data are not at hand"), ("-1", "at least 0, got -1")):
        assert main(["verify", str(made / "run.zip"), "--recompute", count]) == 2
        assert said in capsys.readouterr().err


def test_without_the_data_it_says_what_was_not_checked(made, capsys):
    assert main(["verify", str(made / "run.zip")]) == 0
    printed = capsys.readouterr().out
    assert "holds: every headline sentence" in printed
    assert "not checked: every number of the result" in printed
    assert "--data" in printed
    assert main(["verify", str(made / "run.zip"), "--data", str(made / "data")]) == 0
    assert "allow it" in (said := capsys.readouterr().out), said  # code that an archive names


def test_it_names_what_is_claimed_how_and_no_folder_of_the_user(made):
    with zipfile.ZipFile(made / "run.zip") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("evidence.json"))
        spec = archive.read("spec.yaml").decode()
    assert {"summary.json", "report.html", "results.csv", "inputs/firmware.toml"} <= {*names}
    assert sum(name.startswith("records/") for name in names) == 2
    assert "non-inferior" in manifest["claims"][0]["statement"] or manifest["claims"]
    assert "Shapley" in manifest["claims"][0]["method"]
    assert str(made) not in spec


def test_every_changed_byte_is_noticed(made, tmp_path, capsys):
    content = (made / "run.zip").read_bytes()
    draw = random.Random(0)
    places = [*draw.sample(range(len(content)), 195), 0, 3, 31, len(content) - 70, len(content) - 1]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= draw.randrange(1, 256)
        (tmp_path / "changed.zip").write_bytes(changed)
        assert next(verify(tmp_path / "changed.zip")).verdict == "no", place
    assert main(["verify", str(tmp_path / "changed.zip")]) == 1
    (tmp_path / "changed.zip").write_bytes(content[:-500])
    assert main(["verify", str(tmp_path / "changed.zip")]) == 1
    (tmp_path / "changed.zip").write_bytes(content + b" ")
    assert main(["verify", str(tmp_path / "changed.zip")]) == 1


def test_what_is_no_evidence_can_not_be_used(made, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "b")
    (tmp_path / "text.zip").write_text("text")
    for path in (tmp_path / "other.zip", tmp_path / "text.zip", tmp_path / "none.zip", tmp_path):
        assert main(["verify", str(path)]) == 2
    assert main(["evidence", str(tmp_path), "--out", str(tmp_path / "x.zip")]) == 2
    assert main(["evidence", str(made / "run"), "--out", str(made / "run.zip")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("hostile", ["no fields", "no JSON", "another format", "a bomb", "a pipe"])
def test_an_archive_of_a_stranger_is_read_within_bounds(
    hostile, made, tmp_path, monkeypatch, capsys
):
    """Its checksum is right, but its content is not what we write."""
    path = tmp_path / "hostile.zip"
    if hostile == "a pipe":
        os.mkfifo(path)
    else:
        contents = bundle.read(made / "run.zip").files
        manifest = json.loads(contents[bundle.MANIFEST])
        body = {"no fields": {}, "another format": manifest | {"format": "x"}}.get(
            hostile, manifest
        )
        text = "{" if hostile == "no JSON" else json.dumps(body)
        path.write_bytes(bundle._archive(contents | {bundle.MANIFEST: text.encode()}))
        if hostile == "a bomb":
            monkeypatch.setattr(bundle, "_MOST", 1000)
    assert main(["verify", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rawdrift: error: ")
    assert said.count("\n") == 1


def test_other_data_and_a_result_that_records_contradict_are_noticed(made, tmp_path, capsys):
    rows = [{"image": f"{i}.tif", "label": "ab"[i % 2]} for i in range(40)]
    other = write_folder(tmp_path / "other", rows, size=(32, 32), dark=("b",))
    assert main(["verify", str(made / "run.zip"), "--data", str(other), *ALLOW]) == 1
    assert "DOES NOT HOLD: the data are those of the run" in capsys.readouterr().out
    run = shutil.copytree(made / "run", tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text())
    summary["drop"]["value"] += 0.01
    (run / "summary.json").write_text(json.dumps(summary))
    assert main(["evidence", str(run), "--out", str(tmp_path / "false.zip")]) == 0
    command = ["verify", str(tmp_path / "false.zip"), "--data", str(made / "data"), *ALLOW]
    assert main(command) == 1
    assert "drop.value" in capsys.readouterr().out


@pytest.mark.parametrize("control", CONTROLS.values(), ids=list(CONTROLS))
def test_every_control_says_how_its_statements_were_made(control):
    assert len(control.load_page().METHOD) > 50


def test_sentences_name_no_folder(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bundle, "lines", lambda _, run: [f"see {run}/signature.json"])
    assert main(["evidence", str(made / "run"), "--out", str(tmp_path / "run.zip")]) == 0
    assert main(["verify", str(tmp_path / "run.zip")]) == 0, capsys.readouterr().out
    claims = bundle.read(tmp_path / "run.zip").manifest.claims
    assert [claim.statement for claim in claims] == ["see RUN/signature.json"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with two pairs of keys, mine and other."""
    pytest.importorskip("cryptography")
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("mine", "other"):
        private, public = folder / f"{name}.pem", folder / f"{name}.pub"
        make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)]
        subprocess.run(make, check=True, capture_output=True)
        show = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
        subprocess.run(show, check=True, capture_output=True)
    return folder


def test_a_signature_says_who_wrote_it(made, keys, tmp_path, capsys):
    signed = tmp_path / "signed.zip"
    command = ["evidence", str(made / "run"), "--out", str(signed), "--key"]
    assert main([*command, str(keys / "mine.pem")]) == 0
    assert main(["verify", str(signed), "--public_key", str(keys / "mine.pub")]) == 0
    assert "Ed25519" in capsys.readouterr().out
    assert main(["verify", str(signed), "--public_key", str(keys / "other.pub")]) == 1
    unsigned = ["verify", str(made / "run.zip"), "--public_key", str(keys / "mine.pub")]
    assert main(unsigned) == 1


def test_check_takes_an_envelope_only_from_who_must_have_signed_it(made, keys, tmp_path, capsys):
    run = shutil.copytree(made / "run", tmp_path / "run")
    planted_signature()[1].save(run / "signature.json")
    signed, plain = tmp_path / "signed.zip", tmp_path / "plain.zip"
    key = ["--key", str(keys / "mine.pem")]
    assert main(["evidence", str(run), "--out", str(signed), *key]) == 0
    assert main(["evidence", str(run), "--out", str(plain)]) == 0
    CAMERA.save(tmp_path / "camera.toml")
    replace(CAMERA, gamma=4.0).save(tmp_path / "far.toml")

    def check(file, camera="camera", key=None):
        capsys.readouterr()
        asked = ["--public_key", str(keys / f"{key}.pub")] if key else []
        camera = str(tmp_path / f"{camera}.toml")
        code = main(["check", str(file), "--camera", camera, "--json", *asked])
        printed = capsys.readouterr()
        assert (printed.err.count("\n") == 1) == (code == 2)
        return code, printed.err if code == 2 else json.loads(printed.out)["signed_by"]

    code, public = check(signed, key="mine")
    assert (code, len(public)) == (0, 64)
    assert check(signed, "far", "mine") == (1, public)
    assert check(signed) == (0, public)
    assert check(plain) == check(run / "signature.json") == (0, None)
    for file, key in ((signed, "other"), (plain, "mine"), (run / "signature.json", "mine")):
        code, error = check(file, key=key)
        assert (code, "is not signed" in error) == (2, True)
    changed = bytearray(signed.read_bytes())
    changed[len(changed) // 2] ^= 1
    signed.write_bytes(changed)
    code, error = check(signed, key="mine")
    assert (code, "has been changed" in error) == (2, True)
    assert "holds no signature.json" in check(made / "run.zip")[1]
