"""The report in headless Chromium: hostile names run nothing, and the page fits a desktop and a phone."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from synthgen.config_reading import parse_config
from synthgen.datasets import Schema, Table
from synthgen.files import read_json
from synthgen.findings import Finding, Judgement, Problem, Report, Verdict
from synthgen.reports import Material, write_report
from synthgen.reports.comparison import Side, compared, write_comparison

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]

SCRIPT = "<script>document.title='broken'</script>"
HANDLER = '"><img src=x onerror="document.title=\'broken\'">'
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
TONE = {Verdict.PASS: (26, 127, 75), Verdict.FAIL: (179, 38, 30)}


def chromium(profile: Path, page: Path, *options: str) -> str:
    command = ["chromium", *QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def screenshot(tmp_path: Path, page: Path, width: int, height: int) -> Image.Image:
    target = tmp_path / f"{width}.png"
    chromium(tmp_path / f"profile-{width}", page, f"--screenshot={target}", f"--window-size={width},{height}")
    return Image.open(target).convert("RGB")


def written(tmp_path: Path, verdict: Verdict) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({SCRIPT: rng.choice([SCRIPT, HANDLER, "x" * 400], 90), HANDLER: rng.normal(size=90)})
    frame = frame.assign(label=rng.choice([SCRIPT, HANDLER], 90))
    table = Table(frame, Schema({SCRIPT: "categorical", HANDLER: "numeric", "label": "categorical"}, "label"))
    findings = [Finding("c2st_auc", "fidelity", 0.6, 0.5, 0.7, 0.5, False, 90)]
    judgements = [Judgement("c2st_auc", "≤ 0.9", verdict, True, SCRIPT)]
    problems = [Problem("kind", HANDLER, "info", SCRIPT, HANDLER)]
    report = Report(verdict, findings, judgements, (), problems, {"name": HANDLER, "run_id": SCRIPT})
    config = parse_config({"source": {"kind": "builtin", "name": "wine"}})
    write_report(tmp_path, report, Material(config, table, table, table))
    return tmp_path / "report.html"


@pytest.mark.parametrize("name", ["report.html", "report-shareable.html"])
def test_hostile_names_change_nothing_in_a_real_browser(tmp_path: Path, name: str) -> None:
    dom = chromium(tmp_path / "profile", written(tmp_path, Verdict.FAIL).with_name(name), "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title is not None
    assert title[1].endswith("FAIL")
    assert "<script" not in dom
    assert not re.search(r"<[^>]*\sonerror=[^>]*>", re.sub(r'"[^"]*"', '""', dom))


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
def test_the_verdict_is_on_the_first_screen_in_its_colour(tmp_path: Path, verdict: Verdict) -> None:
    image = screenshot(tmp_path, written(tmp_path, verdict), 1280, 800)
    pixels = np.asarray(image)[:200]
    assert (np.abs(pixels.astype(int) - TONE[verdict]).max(axis=2) < 12).sum() > 2_000


@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_sticks_out_at_the_right(tmp_path: Path, width: int) -> None:
    page = written(tmp_path, Verdict.PASS)
    opened = tmp_path / "opened.html"
    opened.write_text(page.read_text().replace("<details ", "<details open "))
    # A frame, because headless Chromium has no window as narrow as a phone.
    # Wider than the page, so that what sticks out would show on the grey.
    frame = tmp_path / "frame.html"
    style = f"width:{width}px;height:6000px;border:0;background:#fff"
    frame.write_text(f"<body style='margin:0;background:#888'><iframe src='opened.html' style='{style}'></iframe>")
    image = np.asarray(screenshot(tmp_path, frame, max(width, 600), 6000).crop((0, 0, width, 6000)))
    # The page keeps 14 px of white at its right edge; a page that is too wide scrolls and puts text there.
    assert (image[:, width - 12 : width] == 255).all()


@pytest.mark.parametrize("name", ["report.html", "report-shareable.html"])
def test_every_section_is_printed_though_it_is_folded(tmp_path: Path, name: str) -> None:
    page = written(tmp_path, Verdict.PASS).with_name(name)
    target = tmp_path / "page.pdf"
    chromium(tmp_path / "profile", page, f"--print-to-pdf={target}", "--no-pdf-header-footer")
    folded = tmp_path / "folded.html"
    folded.write_text(page.read_text().replace("content-visibility:visible", "content-visibility:hidden"))
    chromium(tmp_path / "profile", folded, f"--print-to-pdf={tmp_path / 'folded.pdf'}", "--no-pdf-header-footer")
    pages = [len(re.findall(rb"/Type\s*/Page\b", path.read_bytes())) for path in (target, tmp_path / "folded.pdf")]
    assert pages[0] > pages[1]


def test_runs_side_by_side_fit_a_phone_and_run_nothing(tmp_path: Path) -> None:
    report = Report.from_json(read_json(written(tmp_path, Verdict.FAIL).with_name("report.json")))
    sides = [Side(SCRIPT, report, {HANDLER: SCRIPT}), Side(HANDLER, report, {HANDLER: HANDLER})]
    write_comparison(tmp_path / "compare.html", compared(sides))
    dom = chromium(tmp_path / "profile", tmp_path / "compare.html", "--dump-dom")
    assert "<title>Runs side by side</title>" in dom
    assert "<script" not in dom
    frame = tmp_path / "frame.html"
    style = "width:375px;height:2000px;border:0;background:#fff"
    frame.write_text(f"<body style='margin:0;background:#888'><iframe src='compare.html' style='{style}'></iframe>")
    image = np.asarray(screenshot(tmp_path, frame, 600, 2000).crop((0, 0, 375, 2000)))
    assert (image[:, 363:375] == 255).all()
