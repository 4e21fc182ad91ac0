"""Case 65 in headless Chromium: names that try to run code, in every place of a page, run nothing and load nothing."""

import base64
import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Schema, Table
from synthgen.findings import Finding, Judgement, NotMeasured, Problem, Report, Verdict
from synthgen.reports import Material, write_report
from synthgen.reports.comparison import Side, compared, write_comparison

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]

NAMES: list[str] = json.loads((Path(__file__).parents[1] / "faults" / "hostile_names.json").read_text())
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--virtual-time-budget=1500",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom",
)  # fmt: skip


class Beacon(BaseHTTPRequestHandler):
    """Answers every request, and keeps its path."""

    paths: list[str]

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def beacon() -> Iterator[tuple[str, list[str]]]:
    """Address of a server on this machine, and the paths that were asked of it."""
    paths: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Kept", (Beacon,), {"paths": paths}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


def opened(page: Path, profile: Path) -> str:
    """Title of the page after its time in the browser."""
    command = ["chromium", *QUIET, f"--user-data-dir={profile}", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    return title[1] if title else ""


def hostile_report(names: list[str]) -> Report:
    first, second = names[0], names[-1]
    detail = {"worst_class": first, "worst_group": second, "score": first, "best_control": second,
              "arms": {"real": 0.9, **dict.fromkeys(names, 0.8)},
              "gains": {name: {"value": 0.1, "low": 0.0, "high": 0.2} for name in names}}  # fmt: skip
    findings = [Finding("augmentation_gain", "utility", 0.1, 0.0, 0.2, 0.0, True, 90, detail=detail)]
    findings += [Finding(name, "privacy", 0.6, 0.5, 0.7, 0.5, False, 90, name, {"worst_class": name}) for name in names]
    judgements = [Judgement(name, name, Verdict.FAIL, True, name) for name in names]
    problems = [Problem(name, name, "warning", name, name) for name in names]
    missing = [NotMeasured(name, "privacy", name) for name in names]
    facts = {
        "name": first,
        "run_id": second,
        "files": dict(zip(names, names, strict=True)),
        **dict.fromkeys(names, first),
    }
    return Report(Verdict.FAIL, findings, judgements, missing, problems, facts)


def hostile_table(names: list[str]) -> Table:
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=240) if n % 2 else rng.choice(names, 240) for n, name in enumerate(names)}
    frame = pd.DataFrame(columns).assign(label=rng.choice(names, 240))
    kinds = {name: "numeric" if n % 2 else "categorical" for n, name in enumerate(names)}
    return Table(frame, Schema({**kinds, "label": "categorical"}, "label", protected=(names[0],)))


def hostile_images(names: list[str]) -> ImageSet:
    codes = np.arange(3 * len(names)) % len(names)
    pixels = np.random.default_rng(0).integers(0, 255, (len(codes), 1, 8, 8), dtype=np.uint8)
    return ImageSet(pixels, codes, tuple(names))


def hostile_pages(names: list[str], folder: Path) -> list[Path]:
    """Both versions of a report on tables, one on images, and a comparison; every drawing as a file of its own."""
    report = hostile_report(names)
    config = parse_config(
        {"source": {"kind": "table", "path": names[0], "label": "label", "types": dict.fromkeys(names, "numeric")}}
    )
    choice = {"kind": names[0], "calibrate": True, "arms": []}
    seconds = dict.fromkeys(names, 1.0)
    for place, data in (("table", hostile_table(names)), ("images", hostile_images(names))):
        material = Material(config, data, data, data, [], dict.fromkeys(names, names[0]), names[0], seconds, choice)
        write_report(folder / place, report, material)
    config_of = {name: {name: name} for name in names}
    write_comparison(folder / "compare.html", compared([Side(names[0], report, config_of), Side(names[1], report, {})]))
    (folder / "notebook.html").write_text(f"<title>notebook</title>{report._repr_html_()}", encoding="utf-8")
    pages = sorted(folder.rglob("*.html"))
    for number, drawn in enumerate(re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", "".join(map(_text, pages)))):
        (folder / f"{number}.svg").write_bytes(base64.b64decode(drawn))
    return pages


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def framed(pages: list[Path], target: Path) -> Path:
    """One page that shows all, each in a frame that may run scripts; details are open, since closed ones may wait."""
    frames = []
    for page in pages:
        shown = page.with_name(f"open-{page.name}") if page.suffix == ".html" else page
        if shown != page:
            shown.write_text(_text(page).replace("<details", "<details open"), encoding="utf-8")
        frames.append(f'<iframe src="{shown.as_uri()}" width="900" height="900"></iframe>')
    target.write_text(f"<!doctype html><title>calm</title>{''.join(frames)}", encoding="utf-8")
    return target


def test_65_hostile_names_run_nothing_and_load_nothing(beacon: tuple[str, list[str]], tmp_path: Path) -> None:
    address, paths = beacon
    names = [name.replace("HOST", address) for name in NAMES]
    assert len(names) >= 30
    pages: list[Path] = []
    for start in range(0, len(names), 14):
        pages += hostile_pages(names[start : start + 14], tmp_path / str(start))
    every = html.unescape("".join(map(_text, pages)))
    # Each name is really on a page, as text. A carriage return and what is no text in HTML cannot be.
    assert [name for name in names if name.isprintable() and name not in every] == []
    titles = [opened(page, tmp_path / "profile") for page in pages if page.match("table/report.html")]
    assert len(titles) == 4
    assert all(title.endswith("FAIL") for title in titles)
    drawings = sorted(tmp_path.rglob("*.svg"))
    assert len(drawings) > 20
    assert opened(framed([*pages, *drawings], tmp_path / "all.html"), tmp_path / "profile") == "calm"
    assert paths == []


@pytest.mark.parametrize(("number", "title"), [(0, "broken"), (1, "broken"), (13, "calm"), (14, "calm")])
def test_65_the_browser_would_have_run_them(
    number: int, title: str, beacon: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, paths = beacon
    page = tmp_path / "raw.html"
    page.write_text(f"<!doctype html><title>calm</title>{NAMES[number].replace('HOST', address)}", encoding="utf-8")
    assert opened(page, tmp_path / "profile") == title
    assert paths
