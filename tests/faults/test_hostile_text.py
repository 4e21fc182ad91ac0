"""Cases 64 and 65: secrets in a config are told nowhere, and names from data are text wherever they are shown."""

import csv
import gzip
import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from rich.table import Table as Grid

from pipelines.inert import inert_console
from pipelines.verdicts import verdict_markdown
from synthgen.config import ImageSource
from synthgen.config_reading import parse_config
from synthgen.datasets import ImageSet, Splits
from synthgen.errors import ConfigError, SynthgenError
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.exporters.card import escape_markdown
from synthgen.files import read_json
from synthgen.findings import Judgement, Report, Verdict
from synthgen.manifests import verify_manifest
from synthgen.redaction import redacted, redacted_values
from synthgen.runs import Run
from synthgen.sources import read
from synthgen.workspace import Workspace

NAMES: list[str] = json.loads((Path(__file__).parent / "hostile_names.json").read_text())
FACTS = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}
SECRET = "Zanzibar-4711"
# What a terminal obeys: everything below the blank but line end and tab, delete, C1, and marks that turn the text.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# Loaded by every Python process of the run: notes each address that is not of this machine.
WATCH = """
import os, socket, sys
def _watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "urllib.Request"):
        place = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        host = place[0] if isinstance(place, tuple) else str(place)
        local = ("localhost", "127.", "::1", "/", "0.0.0.0", "http://127.", "http://localhost", "None", "b''")
        with open(os.environ["SOCKETS"], "a") as file:
            file.write(("local " if str(host).startswith(local) else "FAR ") + event + " " + str(host) + "\\n")
sys.addaudithook(_watch)
"""


@dataclass(frozen=True)
class Ran:
    """One run of the command: where, its answer, and the addresses that were called."""

    folder: Path
    code: int
    out: str
    err: str
    sockets: list[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """`synthgen run` on a table of hostile names, from a config with secrets in it."""
    folder = tmp_path_factory.mktemp("ran")
    data = folder / f"password={SECRET}" / "t.csv.gz"
    data.parent.mkdir()
    rng = np.random.default_rng(0)
    names = [name for name in NAMES if len(name) < 100]
    frame = pd.DataFrame({name: rng.normal(size=160).round(3) for name in names[:6] + names[36:44]})
    frame["class"] = rng.choice(names[-3:], 160)
    frame["c"] = rng.choice(names, 160)
    with gzip.open(data, "wt", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([list(frame.columns), *frame.itertuples(index=False)])
    source = {
        "kind": "table",
        "path": str(data),
        "label": "class",
        "types": {names[0]: "numeric", names[37]: "numeric"},
    }
    address = f"https://me:{SECRET}@host.example/x?api_key={SECRET}"
    whole = {"name": "hostile", "source": source, "synthesizer": {"kind": "marginals"},
             "tracking": {"experiment": address}, "plan": {"kind": "ratio", "ratio": 1},
             "export": {"formats": ["csv", "parquet"]}}  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(whole))
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    env = {**kept, "SOCKETS": str(folder / "sockets"), "PYTHONPATH": str(folder / "watch"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pipelines.cli", "run", "config.yaml", "--force", "--workspace", "space"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=280, check=False)
    return Ran(folder, done.returncode, done.stdout, done.stderr, (folder / "sockets").read_text().splitlines())


def run_folder(ran: Ran) -> Path:
    return next(path for path in (ran.folder / "space" / "runs" / "hostile").iterdir() if path.is_dir())


@pytest.mark.flow
def test_65_a_run_on_hostile_names_goes_through(ran: Ran) -> None:
    assert ran.code in (0, 3, 4), ran.err
    record = read_json(run_folder(ran) / "run.json")
    assert record["state"] == "finished"
    assert "tracking_error" not in record


@pytest.mark.flow
def test_a_run_calls_no_other_machine(ran: Ran) -> None:
    assert ran.sockets, "the embedded Prefect server is spoken to"
    assert [line for line in ran.sockets if line.startswith("FAR")] == []


def test_the_watch_sees_a_call_to_another_machine(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    env = {**os.environ, "SOCKETS": str(tmp_path / "sockets"), "PYTHONPATH": str(tmp_path)}
    code = "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('192.0.2.1', 9)); s.close()"
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=60)
    assert (tmp_path / "sockets").read_text() == "FAR socket.connect 192.0.2.1\n"


@pytest.mark.flow
def test_64_no_secret_is_in_log_report_or_record(ran: Ran) -> None:
    told = [ran.out, ran.err]
    told += [path.read_text("utf-8", "replace") for path in run_folder(ran).rglob("*") if path.suffix in (
        ".json", ".html", ".yaml", ".md")]  # fmt: skip
    assert len(told) > 8
    assert [text[:80] for text in told if SECRET in text] == []
    assert "[hidden]" in (run_folder(ran) / "config.yaml").read_text()


@pytest.mark.flow
def test_64_no_secret_is_in_mlflow_and_65_its_names_are_whole(ran: Ran) -> None:
    with sqlite3.connect(ran.folder / "space" / "mlflow.db") as store:
        dump = "\n".join(store.iterdump())
        keys = [row[0] for row in store.execute("select key from params")]
        assert store.execute("select count(*) from experiments where name like '%[hidden]@host%'").fetchone() == (1,)
    assert SECRET not in dump
    assert any(key.startswith("source.types._script") for key in keys)
    files = [path for path in (ran.folder / "space" / "mlflow-artifacts").rglob("*") if path.is_file()]
    assert files
    assert not any(SECRET.encode() in path.read_bytes() for path in files)


@pytest.mark.flow
def test_65_the_terminal_gets_nothing_to_obey(ran: Ran) -> None:
    assert not OBEYED.search(ran.out + ran.err)


@pytest.mark.flow
def test_65_prefect_shows_markdown_without_markup(ran: Ran) -> None:
    with sqlite3.connect(next((ran.folder / "space" / "prefect").glob("*.db"))) as store:
        texts = [str(row[0]) for row in store.execute("select data from artifact")]
    assert texts
    assert not any("<script" in text or "<img" in text for text in texts)


@pytest.mark.flow
def test_65_42_an_emitted_csv_holds_no_formula_and_reads_back_exactly(ran: Ran) -> None:
    folder = run_folder(ran) / "dataset"
    with (folder / "train.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    number = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?")
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not number.fullmatch(cell)] == []
    assert set(pd.read_parquet(folder / "train.parquet")["c"]) <= set(NAMES)


ADDRESSES = {
    "user-and-password": f"https://me:{SECRET}@host/x",
    "password-alone": f"redis://:{SECRET}@host",
    "address-in-a-path": f"/home/https:/me:{SECRET}@host/x",
    "parameter": f"https://host/x?a=1&api_key={SECRET}&b=2",
    "upper-case": f"https://host/x?X-Amz-Signature={SECRET}",
    "folder": f"data/token={SECRET}/t.csv",
    "word": f"password={SECRET}",
    "header": f"Authorization: Bearer {SECRET}",
    "github": "ghp_0123456789abcdefghij0123456789abcdef",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
}


@pytest.mark.parametrize("text", ADDRESSES.values(), ids=ADDRESSES)
def test_64_a_secret_is_hidden_in_text_values_and_errors(text: str) -> None:
    secrets = (SECRET, "ghp_", "AKIA", "eyJ")
    content = redacted_values({text: [text, {"a": (text, 1)}]})
    error = SynthgenError(text, where=text, hint=text)
    for shown in (redacted(text), str(content), str(error), error.message, str(error.where), str(error.hint)):
        assert "[hidden]" in shown
        assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize(
    "text", ["data/adult.parquet", "C:/me@home/x", "secrets: [income]", "a token of 3 characters", "me@host.org", "x=1"]
)
def test_64_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    "words", [("-s", f"name.password={SECRET}"), ("-s", f"source.path=https://me:{SECRET}@host/x")]
)
def test_64_an_error_message_hides_it(words: tuple[str, str], refused, config, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # fixtures are functions
    refused("check", config(tmp_path / "absent.csv"), *words)


def test_64_a_key_that_is_not_known_is_named_without_its_value() -> None:
    with pytest.raises(ConfigError, match="password") as caught:
        parse_config({"source": {"kind": "builtin", "name": "wine"}, "password": SECRET})
    assert SECRET not in str(caught.value)


def test_64_config_yaml_and_run_json_hold_no_secret(tmp_path: Path) -> None:
    source = {"kind": "table", "path": f"s3://me:{SECRET}@bucket/t.csv", "label": "class"}
    run = Run.create(Workspace(tmp_path), parse_config({"source": source}), "0")
    run.update(error=f"cannot open https://me:{SECRET}@host", files={"train": f"token={SECRET}"})
    assert not any(SECRET in path.read_text() for path in run.directory.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_65_a_name_is_plain_on_the_terminal(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console = inert_console()
    grid = Grid(name)
    grid.add_row(name)
    console.print(grid)
    console.print(name, highlight=False, soft_wrap=True)
    shown = capsys.readouterr().out
    assert not OBEYED.search(shown)
    # The line as it came: no [markup] and no :emoji: was taken out of it.
    left = name.translate({7: None, 13: None})  # rich drops these itself
    assert shown.rstrip("\n").endswith(OBEYED.sub("\N{REPLACEMENT CHARACTER}", left))


@pytest.mark.parametrize("name", NAMES)
def test_65_a_name_is_plain_in_markdown(name: str) -> None:
    report = Report(Verdict.FAIL, [], [Judgement("c2st_auc", name, Verdict.FAIL, True, name)], [], [], {})
    text = verdict_markdown(report, {"dataset": name})
    assert "<" not in text.replace("&lt;", "")
    assert not re.search(r"(?<!\\)[\[`]", text)
    row = next(line for line in text.splitlines() if line.startswith("| c2st"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert escape_markdown(name) in text


def test_57_class_names_make_no_path_outside_the_dataset(tmp_path: Path) -> None:
    names = (*NAMES, ".", "..", "a/b", "a\\b", "nul", "a\0b", "x" * 300, " ", "con.png")
    codes = np.arange(len(names), dtype=np.int64)
    pixels = np.random.default_rng(0).integers(0, 255, (len(names), 1, 8, 8), dtype=np.uint8)
    images = ImageSet(pixels, codes, names)
    folder = tmp_path / "data"
    emit_dataset(folder, Splits(images, images, images), images, purpose="augment", formats=["folder"], facts=FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert verify_manifest(folder)["classes"] == list(names)
    index = load_dataset(folder)
    assert all(Path(path).resolve().is_relative_to(folder.resolve()) for path in index["path"])
    assert index["label"].tolist() == [*names, *names]


def test_50_what_a_camera_wrote_is_not_emitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x9286] = SECRET, 6, SECRET
    exif.get_ifd(0x8825)[1] = "N"
    for number in range(12):
        path = tmp_path / "set" / "uv"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(path, exif=exif, comment=SECRET.encode())
        assert SECRET.encode() in path.read_bytes()
    data = read(ImageSource(kind="images", path=str(tmp_path / "set")), seed=0).data
    emit_dataset(
        tmp_path / "data", Splits(data, data, data), data, purpose="augment", formats=["folder", "npz"], facts=FACTS
    )
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(files) > 48
    assert not any(SECRET.encode() in path.read_bytes() or b"eXIf" in path.read_bytes() for path in files)
