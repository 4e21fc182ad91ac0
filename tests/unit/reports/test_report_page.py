import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from synthgen.attributes import Attributes
from synthgen.datasets import ImageSet, Schema, Table
from synthgen.findings import Finding, Judgement, Problem, Report, Verdict
from synthgen.reports import Material, write_report
from synthgen.reports.page import render

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{ 7 * 7 }}",
    "\u202eright to left \u05d0\u05d1",
    "new\nline\x07bell",
    "$x_1$ & co",
    "😀" * 5,
    "long " * 200,
)
SECTIONS = (
    "scope", "released", "privacy", "fidelity", "utility", "fairness", "training", "problems", "provenance", "glossary",
)  # fmt: skip


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def small_material(samples: ModuleType) -> Material:
    """A category and a number: little to draw."""
    train, holdout, synthetic = (
        Table(table.frame[["size_class", "mean area", "diagnosis"]], replace(table.schema, kinds=kinds))
        for table in samples.cancer_tables(rng())
        for kinds in [{"size_class": "categorical", "mean area": "numeric", "diagnosis": "categorical"}]
    )
    return Material(samples.table_config(), train, holdout, synthetic, dataset="dataset")


@pytest.fixture(scope="module")
def table_page(samples: ModuleType) -> str:
    return render(samples.table_report(), samples.table_material(rng()))


def hostile_table(n: int) -> Table:
    """Hostile column names and categories; the label too."""
    names = list(HOSTILE)
    columns = {
        name: np.array(HOSTILE, dtype=object)[(np.arange(n) + at) % len(HOSTILE)] for at, name in enumerate(names)
    }
    frame = pd.DataFrame({**columns, "number <b>": np.arange(n) / n})
    kinds = {**dict.fromkeys(names, "categorical"), "number <b>": "numeric"}
    return Table(frame, Schema(kinds, names[0], protected=(names[1],)))


def hostile_pages(samples: ModuleType) -> list[str]:
    table, report = hostile_table(180), samples.table_report()
    texts = [Problem("kind", name, "warning", name, name) for name in HOSTILE]
    judgements = [*report.judgements, *(Judgement(name, name, Verdict.FAIL, True, name) for name in HOSTILE)]
    findings = [
        *report.findings,
        *(Finding(name, "privacy", 0.5, 0.4, 0.6, None, False, 9, name, {}) for name in HOSTILE),
    ]
    provenance = {**report.provenance, "name": HOSTILE[1], "run_id": HOSTILE[0], "data_sha256": HOSTILE[1]}
    report = Report(Verdict.FAIL, findings, judgements, report.not_measured, texts, provenance)
    history = [{"step": float(tick), HOSTILE[0]: 1.0, f"loss {HOSTILE[1]}": 2.0} for tick in range(9)]
    curation = {HOSTILE[0]: {HOSTILE[1]: 1}}
    images = ImageSet(np.zeros((36, 3, 8, 8), dtype=np.uint8), np.arange(36) % len(HOSTILE), HOSTILE)
    return [
        render(
            report,
            Material(samples.table_config(), table, table, table, history, curation, HOSTILE[1], {HOSTILE[0]: 1.0}),
        ),
        render(report, Material(None, images, images, images)),
    ]


@pytest.fixture(scope="module")
def hostile(samples: ModuleType) -> list[Page]:
    return [Page(html) for html in hostile_pages(samples)]


def test_hostile_names_start_no_tag_and_no_handler(hostile: list[Page]) -> None:
    known = {"html", "head", "meta", "title", "style", "body", "header", "main", "p", "h1", "h2", "h3", "h4", "bdi",
             "b", "ul", "li", "table", "caption", "thead", "tbody", "tr", "th", "td", "small", "span", "div", "figure",
             "figcaption", "img", "dl", "dt", "dd", "details", "summary", "code", "pre"}  # fmt: skip
    for page in hostile:
        assert {name for name, _ in page.tags} <= known
        assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]


def test_hostile_names_are_shown_as_text(hostile: list[Page]) -> None:
    for page in hostile:
        for name in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
            assert name in page.text


def test_every_image_is_inside_the_page_and_has_a_description(hostile: list[Page]) -> None:
    for page in hostile:
        assert page.all("img")
        for image in page.all("img"):
            assert str(image["src"]).startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
            assert image["alt"]


def test_drawings_are_well_formed_and_hold_no_script(hostile: list[Page]) -> None:
    from xml.etree import ElementTree

    sources = [str(image["src"]) for page in hostile for image in page.all("img")]
    drawings = [base64.b64decode(source.split(",")[1]) for source in sources if "svg" in source]
    assert drawings
    for drawing in drawings:
        tags = {element.tag.rsplit("}")[-1] for element in ElementTree.fromstring(drawing).iter()}
        assert not tags & {"script", "foreignObject", "image", "a"}


def test_nothing_is_loaded_from_outside(hostile: list[Page]) -> None:
    for page in hostile:
        assert {key for _, attributes in page.tags for key in attributes} & {"href", "srcset", "action"} == set()
        assert page.all("meta")[-1]["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_is_a_word_a_symbol_and_a_colour(verdict: Verdict, samples: ModuleType) -> None:
    page = Page(render(samples.table_report(verdict), small_material(samples)))
    symbol, tone = {
        Verdict.PASS: ("✓", "pass"),
        Verdict.FAIL: ("✗", "fail"),
        Verdict.INCONCLUSIVE: ("?", "open"),
        Verdict.NOT_AUDITED: ("–", "none"),
    }[verdict]
    assert f"{symbol} {verdict}" in page.text
    assert page.all("header")[0]["class"] == tone


def test_all_sections_are_there_in_order(table_page: str, samples: ModuleType) -> None:
    for html in (table_page, render(samples.image_report(), samples.image_material(rng()))):
        assert tuple(item["id"] for item in Page(html).all("details")) == SECTIONS


def test_every_gate_is_shown_with_its_numbers(table_page: str) -> None:
    text = re.sub(r"\s+", " ", Page(table_page).text)
    assert "0.741 0.664 to 0.818 0.502 ≤ 0.9 ✓ pass" in text
    assert "+1.1 +0.2 to +2.0 0.0 ≥ −0.2 ✓ pass" in text
    assert "1.60 % 0.20 to 5.00 % 1.20 % ≤ 2.00 % ? open" in text
    assert "about 8,240 examples like these would decide (now 114)" in text


def test_table_headers_have_a_scope(table_page: str) -> None:
    headers = Page(table_page).all("th")
    assert headers
    assert all(header.get("scope") in ("col", "row", "rowgroup") for header in headers)


def test_the_same_input_gives_the_same_bytes(table_page: str, samples: ModuleType) -> None:
    assert render(samples.table_report(), samples.table_material(rng())) == table_page
    assert render(samples.image_report(), samples.image_material(rng())) == render(
        samples.image_report(), samples.image_material(rng())
    )


def test_a_page_of_50_columns_stays_under_a_megabyte(tmp_path: Path, samples: ModuleType) -> None:
    values = rng().normal(size=(2_000, 49))
    frame = pd.DataFrame(values, columns=[f"column {number}" for number in range(49)])
    frame = frame.assign(label=np.where(values[:, 0] > 0, "a", "b"))
    kinds = {name: "categorical" if name == "label" else "numeric" for name in frame.columns}
    table = Table(frame, Schema(kinds, "label"))
    write_report(tmp_path, samples.table_report(), Material(samples.table_config(), table, table, table))
    assert (tmp_path / "report.html").stat().st_size <= 1_000_000


def test_a_page_with_noisy_colour_images_stays_under_three_megabytes(tmp_path: Path, samples: ModuleType) -> None:
    pixels = rng().integers(0, 256, (200, 3, 96, 96), dtype=np.uint8)
    images = ImageSet(pixels, np.arange(200) % 20, tuple(f"class {number}" for number in range(20)))
    write_report(tmp_path, samples.image_report(), Material(samples.table_config(), images, images, images))
    assert (tmp_path / "report.html").stat().st_size <= 3_000_000


def test_report_json_is_the_report(tmp_path: Path, samples: ModuleType) -> None:
    report = samples.table_report()
    write_report(tmp_path / "report", report, small_material(samples))
    raw = json.loads((tmp_path / "report" / "report.json").read_text())
    assert Report.from_json(raw).to_json() == json.loads(json.dumps(report.to_json()))
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "report-shareable.html", "report.html", "report.json",
    ]  # fmt: skip


def test_an_audit_without_holdout_label_or_rules_renders(samples: ModuleType) -> None:
    train, _, synthetic = samples.cancer_tables(rng())
    bare = [replace(table, schema=replace(table.schema, label=None, protected=())) for table in (train, synthetic)]
    page = Page(render(Report(Verdict.NOT_AUDITED, (), (), (), (), {}), Material(None, bare[0], None, bare[1])))
    assert "– NOT AUDITED" in page.text
    assert "nothing has a control" in page.text


@pytest.mark.parametrize(
    ("protected", "drawn", "says"),
    [
        (("site",), True, "Share of each group among the training rows"),
        (("site",), False, "Nothing about fairness could be measured; section 1 says why"),
        ((), True, "No protected column was declared"),
    ],
)
def test_the_groups_of_images_stand_in_the_chapter_on_fairness(
    samples: ModuleType, protected: tuple[str, ...], drawn: bool, says: str
) -> None:
    real = ImageSet(np.zeros((200, 1, 8, 8), dtype=np.uint8), np.arange(200) % 2, ("a", "b"))
    known = Attributes({"site": ("north", "south")}, np.arange(200)[:, None] // 150, protected)
    made = replace(real, attributes=replace(known, protected=()) if drawn else None)
    page = Page(render(samples.image_report(), Material(None, replace(real, attributes=known), None, made)))
    chapter = page.text.split("6 Fairness")[1].split("7 Training health")[0]
    assert says in chapter
    assert ("north" in chapter) == (drawn and bool(protected))
    assert ("No protected column" in chapter) == (not protected)


def test_an_empty_synthetic_set_renders(samples: ModuleType) -> None:
    material = small_material(samples)
    empty = material.synthetic.take(np.empty(0, dtype=np.int64))
    assert "87 synthetic" in Page(render(samples.table_report(), replace(material, synthetic=empty))).text


def test_a_rare_category_is_on_no_page(samples: ModuleType) -> None:
    material = small_material(samples)
    assert isinstance(material.train, Table)
    frame = material.train.frame.copy()
    frame.loc[:3, "size_class"] = "rare Zanzibar"  # four rows
    html = render(samples.table_report(), replace(material, train=replace(material.train, frame=frame)))
    drawings = " ".join(base64.b64decode(uri).decode() for uri in re.findall(r"svg\+xml;base64,([^\"]+)", html))
    assert "Zanzibar" not in html + drawings
    assert "medium" in drawings


def test_credentials_in_the_config_are_hidden(samples: ModuleType) -> None:
    source = {"kind": "table", "path": "https://ann:hunter2@host/data.csv?token=abc&x=1", "label": "diagnosis"}
    html = render(samples.table_report(), replace(small_material(samples), config=samples.table_config(source=source)))
    assert "hunter2" not in html
    assert "token=abc" not in html
    assert "[hidden]@host/data.csv" in html
