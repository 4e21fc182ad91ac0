"""Addresses in place of paths: read through a copy, written when whole, refused in one sentence."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.cli import _answer
from synthgen.config_reading import load_config, parse_config
from synthgen.errors import ConfigError, DataError
from synthgen.manifests import verify_manifest, write_manifest
from synthgen.remote import address_of, is_address, local_copy, send
from synthgen.stages import ingest
from synthgen.workspace import Workspace


@pytest.fixture(autouse=True)
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("s3://bucket/a b.csv", "s3://bucket/a b.csv"),
        (Path("s3://bucket/x"), "s3://bucket/x"),
        (Path("memory://x/y"), "memory://x/y"),
        ("file:///tmp/x", "file:///tmp/x"),
        (Path("file:///tmp/x"), "file:///tmp/x"),
    ],
)
def test_an_address_is_known_also_as_a_path_object(place: str | Path, address: str) -> None:
    assert is_address(place)
    assert address_of(place) == address


@pytest.mark.parametrize("place", ["rows.csv", "/tmp/rows.csv", "C:/rows.csv", "a/b://c", "", Path("a:b")])
def test_a_path_is_no_address(place: str | Path) -> None:
    assert not is_address(place)


def table(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(size=rows), "label": np.where(np.arange(rows) % 3, "no", "yes")})


def test_a_source_behind_an_address_is_read_as_the_file_itself(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    table().to_csv(tmp_path / "rows.csv", index=False)
    keys = []
    memory.pipe("/bucket/rows.csv", (tmp_path / "rows.csv").read_bytes())
    places = (tmp_path / "rows.csv", (tmp_path / "rows.csv").as_uri(), "memory://bucket/rows.csv")
    for number, place in enumerate(places):
        config = parse_config({"source": {"kind": "table", "path": str(place), "label": "label"}})
        keys.append(ingest(config, Workspace(tmp_path / f"space{number}")).key)
    assert keys[0] == keys[1] == keys[2]


def test_a_manifest_behind_an_address_is_read_with_the_images_that_it_lists(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = [f"./{number}.png" for number in range(40)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / path)
    labels = np.where(np.arange(40) % 2, "a", "b")
    pd.DataFrame({"path": paths, "label": labels}).to_csv(folder / "list.csv", index=False)
    send(folder, "memory://bucket/scans")
    config = {"synthesizer": {"kind": "image-gan"}}
    here, there = (
        ingest(parse_config({**config, "source": {"kind": "images", "path": place}}), Workspace(tmp_path / "space")).key
        for place in (str(folder / "list.csv"), "memory://bucket/scans/list.csv")
    )
    assert here == there


def test_what_is_new_behind_an_address_is_seen_and_what_is_not_is_not_fetched_again(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    config = parse_config({"source": {"kind": "table", "path": "memory://b/rows.csv", "label": "label"}})
    space = Workspace(tmp_path / "space")
    memory.pipe("/b/rows.csv", table().to_csv(index=False).encode())
    first = ingest(config, space).key
    (copy,) = space.downloads.glob("*/rows.csv")
    before = copy.stat().st_mtime_ns
    assert ingest(config, space).key == first
    assert copy.stat().st_mtime_ns == before
    memory.pipe("/b/rows.csv", table(seed=1).to_csv(index=False).encode())
    assert ingest(config, space).key != first


def test_a_folder_behind_an_address_is_copied_whole(tmp_path: Path, memory: fsspec.AbstractFileSystem) -> None:
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png"):
        memory.pipe(f"/b/animals/{name}", name.encode())
    copy = local_copy("memory://b/animals", tmp_path)
    assert copy.name == "animals"
    found = {path.relative_to(copy).as_posix(): path.read_text() for path in copy.rglob("*.png")}
    assert found == {name: name for name in ("cats/1.png", "cats/2.png", "dogs/1.png")}


def test_the_manifest_is_sent_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d" / "train").mkdir(parents=True)
    (tmp_path / "d" / "train" / "x.csv").write_text("1")
    (tmp_path / "d" / "z.csv").write_text("2")
    write_manifest(tmp_path / "d", {})
    sent: list[str] = []
    put = fsspec.implementations.memory.MemoryFileSystem.put_file

    def noted(self: object, local: str, remote: str, **options: object) -> None:
        sent.append(remote)
        put(self, local, remote, **options)

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "put_file", noted)
    send(tmp_path / "d", "memory://shared/d")
    assert sorted(sent) == ["/shared/d/manifest.json", "/shared/d/train/x.csv", "/shared/d/z.csv"]
    assert sent[-1] == "/shared/d/manifest.json"
    verify_manifest(local_copy("memory://shared/d", tmp_path / "cache"))


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("memory://b/gone.csv", "'memory://b/gone.csv' does not exist"),
        ("s4://b/rows.csv", "protocol 's4' is not known"),
        ("file:///nowhere/rows.csv", "does not exist"),
    ],
)
def test_a_wrong_address_is_one_sentence(address: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        local_copy(address, tmp_path)


def test_missing_credentials_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object, **_options: object) -> None:
        raise PermissionError("Unable to locate credentials")

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "exists", refused)
    with pytest.raises(DataError, match="credentials are missing or do not allow it"):
        local_copy("memory://b/x.csv", tmp_path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(DataError, match="protocol 'gs' needs a package") as caught:
        local_copy("gs://b/x.csv", tmp_path)
    assert "gcsfs" in str(caught.value.hint)


def test_export_to_takes_addresses_alone() -> None:
    source = {"kind": "builtin", "name": "wine"}
    assert parse_config({"source": source, "export": {"to": "s3://b/x"}}).export.to == "s3://b/x"
    with pytest.raises(ConfigError, match=r"export\.to"):
        parse_config({"source": source, "export": {"to": "b/x"}})


def test_commands_take_addresses_for_config_data_and_output(
    tmp_path: Path,
    memory: fsspec.AbstractFileSystem,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SYNTHGEN_WORKSPACE", str(tmp_path / "space"))
    monkeypatch.chdir(tmp_path)
    memory.pipe("/b/rows.csv", table().to_csv(index=False).encode())
    assert _answer(["init", "memory://b/rows.csv", "--label", "label", "-o", "memory://b/made.yaml"]) == 0
    assert "memory://b/rows.csv" in memory.cat_file("/b/made.yaml").decode()
    assert _answer(["check", "memory://b/made.yaml", "--json"]) == 0
    config = load_config(Path("memory://b/made.yaml"), ["synthesizer={kind: marginals}"])
    from synthgen.augmentation import run_augmentation

    changed = config.model_copy(update={"export": config.export.model_copy(update={"to": "memory://shared/out"})})
    outcome = run_augmentation(changed, Workspace(tmp_path / "space"), force=True)
    place = f"memory://shared/out/{config.name}/{outcome.run_id}"
    assert memory.exists(f"{place}/report/report.html")
    capsys.readouterr()
    assert _answer(["verify", f"{place}/dataset", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] > 3
    assert _answer(["sample", outcome.run_id, "--rows", "7", "-o", "memory://b/more.csv"]) == 0
    assert len(memory.cat_file("/b/more.csv").decode().splitlines()) == 8
    assert _answer(["sample", outcome.run_id, "--rows", "7", "-o", "memory://b/more.csv"]) == 2
    assert "memory://b/more.csv exists already" in capsys.readouterr().err
    assert _answer(["audit", "--train", "memory://b/rows.csv", "--synthetic", "s4://b/x.csv"]) == 2
