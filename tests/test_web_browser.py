"""The page in a real Chromium, if there is one: what a user does with it, and what names can't do."""

import contextlib
import json
import shutil
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import tifffile
import torch
import uvicorn
from filelock import FileLock

import nets
import rawdrift as rd
from rawdrift.models import weights
from rawdrift.models.spec import Task
from rawdrift.runs import status
from rawdrift.runs.status import RunStatus
from rawdrift.web import explore
from rawdrift.web.answers import Network
from rawdrift.web.folder import Folder
from rawdrift.web.server import app

from conftest import random_camera, random_mosaic

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
HOSTILE = "<img src=x onerror=document.title='owned'>\"'&.tif"
WAIT = 30_000
CLASSES = ["<b>bold</b>", "b", "c"]


def chromium():
    """The path of a Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser():
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(playwright.sync_playwright())
        path = chromium()
        if path is None and not Path(made.chromium.executable_path).is_file():
            pytest.skip("there is no Chromium; install one, or run: playwright install chromium")
        opened = made.chromium.launch(executable_path=path, args=["--no-sandbox"])
        stack.callback(opened.close)
        yield opened


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "served"
    folder.mkdir()
    camera = random_camera(7, "RGGB")
    camera.save(folder / "camera.toml")
    mosaic = (random_mosaic(1, 80, 120) * 65535).numpy().astype(np.uint16)
    for name in ("frame.tif", "other.tif", HOSTILE):
        tifffile.imwrite(folder / name, mosaic)
    (folder / "broken.tif").write_bytes(b"II*\0 is not much")
    isp = rd.isp.static("bi,s,ga", camera)
    isp = isp.insert("balance", rd.isp.ShadesOfGray(), after="demosaic")
    rd.isp.save(isp, folder / "measured.toml", camera)
    return folder


@pytest.fixture(scope="module")
def address(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAWDRIFT_CACHE", str(root.parent / "cache"))
        yield from serving(root)


def serving(root):
    torch.manual_seed(0)
    weights.save(nets.blocks(3), root.parent / "net.safetensors", CLASSES)
    task = Task(model="import:nets.blocks", checkpoint=str(root.parent / "net.safetensors"))
    listening = socket.create_server(("127.0.0.1", 0))
    made = app(Folder(root), Network(task, 64), boxes=("libraw",))
    server = uvicorn.Server(uvicorn.Config(made, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    listening.close()


class Tab:
    """A page with what went wrong in it."""

    def __init__(self, browser, address, path="/", width=1300, **start):
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.wrong = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", self._console)
        choice = {"file": "", "camera": "", "isp": "bi,s,ga", "signature": "", **start}
        self.page.goto(address + path + (f"#{quote(json.dumps(choice))}" if start else ""))
        if start.get("file"):
            self.page.wait_for_selector("#canvas[data-painted]")

    def _console(self, message):
        if message.type == "error" and "400 (Bad Request)" not in message.text:
            self.wrong.append(message.text)

    def painted(self):
        return int(self.page.get_attribute("#canvas", "data-painted") or 0)

    def after(self, act):
        """Do something, and wait until another view is painted."""
        before = self.painted()
        act()
        self.until(lambda: self.painted() > before)

    def until(self, holds):
        end = time.monotonic() + WAIT / 1000
        while not holds():
            assert time.monotonic() < end, self.page.inner_text("body")
            self.page.wait_for_timeout(20)

    def pixels(self, x=0.5, y=0.5):
        """The color in the middle of the canvas, or elsewhere."""
        return tuple(
            self.page.evaluate(
                """([x, y]) => { const c = document.getElementById("canvas");
                return [...c.getContext("2d").getImageData(c.width * x, c.height * y, 1, 1).data]; }""",
                [x, y],
            )
        )

    def hash_of_view(self):
        return self.page.evaluate('() => document.getElementById("canvas").toDataURL()')

    def move(self, name, share=0.9):
        slider = self.page.locator(f'input[type=range][data-name="{name}"]')
        self.after(
            lambda: slider.evaluate(
                "(s, share) => { s.value = +s.min + share * (s.max - s.min);"
                " s.dispatchEvent(new Event('input')); }",
                share,
            )
        )

    def close(self):
        assert self.wrong == []
        self.context.close()


@pytest.fixture
def tab(browser, address):
    opened = []

    def make(*arguments, **start):
        opened.append(Tab(browser, address, *arguments, **start))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_every_kind_of_slider_moves_the_view_and_is_saved(tab, root):
    one = tab(file="frame.tif")
    page = one.page
    for details in page.locator("#sliders details").all():
        details.locator("summary").click()
    names = {  # a number, of a vector, a knob, of a matrix, of a kernel
        "gamma.gamma", "white_balance.gains[1]", "color_correction.hue", "denoise.radius",
        "color_correction.matrix[0,1]", "sharpen.kernel[1,1]", "black_level.level[2]",
    }  # fmt: skip
    for name in sorted(names):
        before = one.hash_of_view()
        one.move(name)
        one.until(lambda before=before: one.hash_of_view() != before)
    number = page.get_by_label("gamma, value")
    one.after(lambda: number.fill("3.25"))
    assert "ms" in page.inner_text("#time")
    assert "row" in (
        page.mouse.move(400, 300) or page.wait_for_timeout(300) or page.inner_text("#where")
    )
    page.fill("#name", "moved")
    page.click("text=Save ISP file")
    page.wait_for_selector("text=Saved moved.toml")
    isp = rd.isp.load(root / "moved.toml")
    assert float(isp.gamma.gamma) == 3.25
    one.until(lambda: "moved.toml" in page.inner_text("#isp"))
    one.after(lambda: page.click("#reset"))
    assert page.locator(".slider.moved").count() == 0
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("text=Save ISP file")
    page.wait_for_timeout(200)
    assert float(rd.isp.load(root / "moved.toml").gamma.gamma) == 3.25
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("text=Save ISP file")
    one.until(lambda: float(rd.isp.load(root / "moved.toml").gamma.gamma) != 3.25)


def test_stages_zoom_compare_and_wipe(tab):
    one = tab(file="frame.tif")
    page = one.page
    one.after(lambda: page.select_option("#stage", "black_level"))
    assert "gamma of 2.2" in page.inner_text("#told")
    red, green, blue, _ = one.pixels()
    assert red == green == blue  # a mosaic
    one.after(lambda: page.select_option("#stage", "gamma"))
    page.click("#compare")
    page.wait_for_selector("#wipe:not([hidden])")
    for name in ("white_balance.gains[0]", "gamma.gamma"):
        one.move(name, 0.95)
    # The same pixel is before the handle, then after it.
    wipe = page.locator("#wipe")
    wipe.focus()
    for _ in range(11):
        page.keyboard.press("ArrowRight")
    left = one.pixels(0.5)
    box = page.locator("#canvas").bounding_box()
    handle = wipe.bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2 - 1, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 10, box["y"] + 50, steps=4)
    page.mouse.up()
    assert one.pixels(0.5) != left
    assert int(wipe.get_attribute("aria-valuenow")) < 5
    zoom = page.inner_text("#zoom")
    one.after(lambda: page.click("#in"))
    assert page.inner_text("#zoom") != zoom
    one.after(lambda: page.press("#canvas", "0"))
    assert page.inner_text("#zoom") == zoom


def test_a_provisional_view_is_said_to_be_and_replaced(tab, monkeypatch):
    one = tab(file="frame.tif", isp="measured.toml")
    exact = {}
    for is_large in (False, True):
        if is_large:
            monkeypatch.setattr(explore, "_AT_ONCE", 1000)
            monkeypatch.setattr(explore, "_ROUGH", 1000)
        one.move("black_level.level[0]", 0.8 if is_large else 0.7)
        if is_large:
            assert "Provisional" in one.page.inner_text("#told")
            one.until(lambda: one.page.get_attribute("#canvas", "data-exact"))
        assert "Every pixel" in one.page.inner_text("#told")
        exact[is_large] = one.hash_of_view()
    monkeypatch.undo()
    assert exact[True] != exact[False]
    one.move("black_level.level[0]", 0.7)
    one.move("black_level.level[0]", 0.8)
    assert one.hash_of_view() == exact[True]


def test_a_black_box_with_its_options(tab):
    one = tab(file="frame.tif")
    page = one.page
    one.after(lambda: page.select_option("#isp", "libraw"))
    assert page.input_value("#reference") == "libraw"
    assert page.is_hidden("#save")
    before = one.hash_of_view()
    one.move("libraw.bright", 0.5)
    assert page.input_value("#reference").startswith("libraw:bright=")
    assert one.hash_of_view() != before
    choice = 'select[data-name="libraw.demosaic_algorithm"]'
    one.after(lambda: page.select_option(choice, label="VNG"))
    assert "demosaic_algorithm=VNG" in page.input_value("#reference")
    assert page.is_hidden("#busy")
    page.mouse.move(400, 300)
    page.wait_for_selector("#values >> text=libraw")
    one.after(lambda: page.select_option("#stage", "raw"))
    one.after(lambda: page.select_option("#isp", "bi,s,me"))
    assert page.is_hidden("#as")


def test_a_broken_file_is_said_to_be_and_another_one_opens(tab):
    one = tab(file="frame.tif")
    page = one.page
    page.click("#entries >> text=broken.tif")
    page.wait_for_selector("#problem:not([hidden])")
    assert "broken.tif" in page.inner_text("#problem")
    assert page.is_disabled("#stage")
    one.after(lambda: page.click("#entries >> text=other.tif"))
    assert page.is_hidden("#problem")


def test_two_browsers_at_once(tab):
    first, second = tab(file="frame.tif"), tab(file="frame.tif", isp="ma,u,me")
    before = second.hash_of_view()
    first.move("gamma.gamma", 0.9)
    for share in (0.2, 0.8, 0.5):
        first.move("white_balance.gains[0]", share)
        second.move("white_balance.gains[0]", 1 - share)
    assert second.hash_of_view() == before
    assert second.page.input_value("#isp") == "ma,u,me"
    assert first.hash_of_view() != before


def test_names_are_text(tab):
    one = tab(file=HOSTILE)
    page = one.page
    page.wait_for_selector(f"#shares >> text={CLASSES[0]}")  # of the model's classes
    assert HOSTILE in page.inner_text("#file-name")
    assert HOSTILE in page.inner_text("#entries")
    assert page.locator("main img, #shares b > b").count() == 0
    assert page.title() == "Explore | rawdrift"


def test_a_running_experiment(tab, root):
    run = root / "runs" / "<i>one</i>"
    (run / "records").mkdir(parents=True)
    (run / "spec.yaml").write_text("a: 1\n")
    now = RunStatus(
        state="running", control="forensics", units=4, done=1, failed=0, doing="training <b>",
        left_s=120.0, begun=status.now(), updated=status.now(),
    )  # fmt: skip
    with FileLock(run / ".lock"):
        status.write(run, now)
        one = tab("/runs")
        page = one.page
        row = page.locator("tr", has_text="<i>one</i>")
        row.wait_for()
        assert "running" in row.inner_text()
        assert "1 of 4" in row.inner_text()
        (run / "report.html").write_text("<p>first</p><script>document.title='owned'</script>")
        row.locator("a").click(timeout=WAIT)
        page.wait_for_selector("text=training <b>")
        page.frame_locator("iframe").locator("text=first").wait_for()
        status.write(
            run,
            RunStatus(
                **{name: getattr(now, name) for name in now.__struct_fields__ if name != "done"},
                done=3,
            ),
        )
        (run / "report.html").write_text("<p>second</p>")
        page.frame_locator("iframe").locator("text=second").wait_for()
        page.wait_for_selector("text=3 of 4")
    page.wait_for_selector("text=stopped")
    assert "<i>one</i>" in page.title()
    # The report may run no script; Chromium says so.
    one.wrong = [text for text in one.wrong if "sandboxed" not in text and "script" not in text]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(browser, address, scheme):
    one = Tab(browser, address, width=390, file="frame.tif")
    one.page.emulate_media(color_scheme=scheme)
    for path in ("", "runs"):
        if path:
            one.page.goto(f"{address}/{path}")
        assert one.page.evaluate("() => document.documentElement.scrollWidth") == 390
    dark = one.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (dark != "rgb(255, 255, 255)") == (scheme == "dark")
    one.close()
