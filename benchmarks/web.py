"""How long the page takes from moving a slider to the new view, in a real browser.

    python -m benchmarks.web [--megapixels 20] [--moves 60] [--isp bi,s,ga ...] [--stage denoise]
                             [--browser /usr/bin/chromium]

Needs the extras "web" and "test" and a Chromium. For each ISP and zoom, one slider after the other
is moved by script, the next once the view of the last is painted. Times are in ms: from the input
event to the frame that shows the view, and the server's part of that. "measured.toml" is an ISP
with white balance by image, JPEG and resizing; its views may be provisional, see the page's docs.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
import tifffile
from playwright.sync_api import Page, sync_playwright

import rawdrift as rd

ISPS = ("bi,s,ga", "ma,u,me", "me,s,me", "ahd,s,me", "measured.toml")
SLIDERS = ("gamma.gamma", "white_balance.gains[0]", "color_correction.hue", "black_level.level[0]")
SCREEN = {"width": 1300, "height": 900}

# Move one slider to a new place; resolve when that view is painted.
MOVE = """([name, share]) => new Promise((done) => {
  const slider = document.querySelector(`input[data-name="${name}"]`);
  const canvas = document.getElementById("canvas");
  canvas.addEventListener("painted", (event) => done(event.detail), { once: true });
  slider.value = Number(slider.min) + share * (slider.max - slider.min);
  slider.dispatchEvent(new Event("input"));
})"""


def frame(folder: Path, megapixels: float) -> None:
    """Write a frame with edges, texture and noise, and its camera."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5 / 2) * 2
    width = round(height * 0.75) * 2
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    scene = 9000 + 6000 * np.sin(x / 37) * np.sin(y / 53) + 4000 * ((x // 200 + y // 150) % 2)
    noisy = scene + rng.normal(0, 300, (height, width))
    tifffile.imwrite(folder / "frame.tif", np.clip(noisy, 0, 65535).astype(np.uint16))
    rd.Camera.load("raw-drone").save(folder / "camera.toml")


def measured(folder: Path) -> None:
    """Write an ISP file whose steps measure and resize the frame."""
    camera = rd.Camera.load(folder / "camera.toml")
    isp = rd.isp.static("bi,s,ga", camera)
    isp = isp.insert("balance", rd.isp.ShadesOfGray(norm=6.0), after="demosaic")
    isp = isp.insert("resize", rd.isp.Resize(0.5), after="gamma")
    isp = isp.insert("jpeg", rd.isp.JPEG(90), after="resize")
    rd.isp.save(isp, folder / "measured.toml", camera)


def measure(page: Page, moves: int) -> list[tuple[float, float]]:
    """Milliseconds of each move, all in all and of the server."""
    found = []
    for i in range(moves + 4):
        share = 0.25 + 0.5 * ((i * 37) % 101) / 101
        told = page.evaluate(MOVE, [SLIDERS[i % len(SLIDERS)], share])
        found.append((told["ms"], told["server"]))
    return found[4:]  # without the first ones, which compile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megapixels", type=float, default=20)
    parser.add_argument("--frame", type=Path, help="a TIFF of yours, with camera.toml beside it")
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--isp", nargs="+", default=ISPS)
    parser.add_argument("--stage", help="look after this step, not after the last")
    parser.add_argument("--browser", default=shutil.which("chromium"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        if args.frame is None:
            frame(Path(name), args.megapixels)
        else:
            shutil.copy(args.frame, Path(name, "frame.tif"))
            shutil.copy(args.frame.with_name("camera.toml"), name)
        measured(Path(name))
        command = [sys.executable, "-m", "rawdrift", "web", name, "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            browser = playwright.chromium.launch(
                executable_path=args.browser, args=["--no-sandbox"]
            )
            what = args.frame or f"{args.megapixels:g} megapixels"
            print(f"{what}, {args.moves} moves each, screen {SCREEN}")
            print("ISP            zoom  median    95 %  | server: median    95 %")
            for isp in args.isp:
                page = browser.new_page(viewport=SCREEN)
                start = {"file": "frame.tif", "camera": "", "isp": isp, "signature": ""}
                page.goto(f"{address[0]}#{quote(json.dumps(start))}")
                page.wait_for_selector("#canvas[data-painted]", timeout=120_000)
                if args.stage:
                    page.select_option("#stage", args.stage)
                for zoom, key in (("fit", "0"), ("1:1", "1")):
                    page.press("#canvas", key)
                    page.wait_for_timeout(1500)
                    times = np.array(measure(page, args.moves))
                    median, most = np.percentile(times, [50, 95], axis=0)
                    print(
                        f"{isp:14} {zoom:4} {median[0]:7.1f} {most[0]:7.1f}  | "
                        f"{median[1]:14.1f} {most[1]:7.1f}",
                        flush=True,
                    )
                page.close()
            browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
