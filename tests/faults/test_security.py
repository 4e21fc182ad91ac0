"""Cases 57 to 63: files that try to run code, to leave their folder, or to be something else than they say."""

import ast
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

import pipelines
import synthgen
from synthgen.config import MarginalsConfig
from synthgen.datasets import Schema, Splits, Table
from synthgen.errors import IntegrityError
from synthgen.exporters import emit_dataset, load_dataset
from synthgen.synthesizers import create

FACTS = {"run_id": "r", "name": "demo", "verdict": "PASS", "passed": True, "data_sha256": "0", "created": "now"}
FLAG = "code-was-run"

Words = tuple[object, ...]


class Payload:
    """Unpickled, it leaves a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {FLAG}",)


def frame(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"x": rng.normal(size=rows), "c": rng.choice(["a", "b"], rows), "class": ["u", "v"] * (rows // 2)}
    )


def checked_images(path: Path, **keys: object) -> Words:
    whole = {"source": {"kind": "images", "path": str(path), **keys}}
    Path("images.yaml").write_text(yaml.safe_dump(whole))
    return "check", "images.yaml"


def checked_table(path: Path) -> Words:
    whole = {"source": {"kind": "table", "path": str(path), "label": "class"}}
    Path("table.yaml").write_text(yaml.safe_dump(whole))
    return "check", "table.yaml"


def png(path: Path, seed: int = 0, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8)).save(path, **options)
    return path


def folders() -> Path:
    for number in range(16):
        png(Path("set") / "uv"[number % 2] / f"{number}.png", number)
    return Path("set")


def zipped(members: dict[str, bytes], *, link: str | None = None) -> Path:
    with zipfile.ZipFile("set.zip", "w") as archive:
        for name, content in members.items():
            item = zipfile.ZipInfo(name)
            if name == link:
                item.external_attr = 0o120777 << 16
            archive.writestr(item, content)
    return Path("set.zip")


def dataset() -> Path:
    table = Table(frame(), Schema({"x": "numeric", "c": "categorical", "class": "categorical"}, "class"))
    emit_dataset(Path("data"), Splits(table, table, table), table, purpose="augment", formats=("csv",), facts=FACTS)
    return Path("data")


def model() -> Path:
    table = Table(frame(), Schema({"x": "numeric", "c": "categorical", "class": "categorical"}, "class"))
    rng = np.random.default_rng(0)
    create(MarginalsConfig(kind="marginals"), table).fit(table, table, rng).save(Path("model"))
    return Path("model")


def changed(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(change(content)))


def object_npz() -> Words:
    np.savez("set.npz", images=np.array([Payload()], dtype=object), labels=np.zeros(1))
    return checked_images(Path("set.npz"))


def pickle_in_npz() -> Words:
    with zipfile.ZipFile("set.npz", "w") as archive:
        archive.writestr("images.npy", pickle.dumps(Payload()))
        archive.writestr("labels.npy", pickle.dumps(Payload()))
    return checked_images(Path("set.npz"))


def pickle_named(name: str, checked: Callable[[Path], Words], protocol: int = 4) -> Callable[[], Words]:
    def write() -> Words:
        Path(name).write_bytes(pickle.dumps(Payload(), protocol))
        return checked(Path(name))

    return write


def pickle_among_images() -> Words:
    (folders() / "u" / "99.png").write_bytes(pickle.dumps(Payload()))
    return checked_images(Path("set"))


def extension_type() -> Words:
    # What pyarrow < 14.0.1 unpickled while it read a schema (CVE-2023-47248).
    meta = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(Payload())}
    field = pa.field("x", pa.list_(pa.int64()), metadata=meta)
    table = pa.table(
        [pa.array([[1]] * 20), pa.array(["u", "v"] * 10)], schema=pa.schema([field, ("class", pa.string())])
    )
    pq.write_table(table, "t.parquet")
    return checked_table(Path("t.parquet"))


def pickled_pandas_metadata() -> Words:
    table = pa.Table.from_pandas(frame()).replace_schema_metadata({"pandas": pickle.dumps(Payload())})
    pq.write_table(table, "t.parquet")
    return checked_table(Path("t.parquet"))


def torch_file_as_safetensors() -> Words:
    torch.save(Payload(), model() / "model.safetensors")
    return "sample", "model", "--rows", 3, "-o", "drawn.csv"


def enormous_header() -> Words:
    (model() / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")
    return "sample", "model", "--rows", 3, "-o", "drawn.csv"


def model_of_kind(kind: object) -> Callable[[], Words]:
    def write() -> Words:
        changed(model() / "synthesizer.json", lambda meta: {**meta, "kind": kind})
        return "sample", "model", "--rows", 3, "-o", "drawn.csv"

    return write


def other_model_file() -> Words:
    with (model() / "model.safetensors").open("r+b") as file:
        file.seek(-1, io.SEEK_END)
        file.write(b"\x7f")
    return "sample", "model", "--rows", 3, "-o", "drawn.csv"


def model_json(content: object) -> Callable[[], Words]:
    def write() -> Words:
        (model() / "synthesizer.json").write_text(json.dumps(content))
        return "sample", "model", "--rows", 3, "-o", "drawn.csv"

    return write


def config_file(text: str) -> Callable[[], Words]:
    def write() -> Words:
        Path("evil.yaml").write_text(text)
        return "check", "evil.yaml"

    return write


RUN_IT = f"!!python/object/apply:os.system ['touch {FLAG}']"
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def override() -> Words:
    return "check", Path(folders(), "../images.yaml") if checked_images(Path("set")) else "", "-s", f"name={RUN_IT}"


def gates_file() -> Words:
    frame().to_csv("t.csv", index=False)
    Path("gates.yaml").write_text(f"- {RUN_IT}")
    return "audit", "--train", "t.csv", "--synthetic", "t.csv", "--gates", "gates.yaml"


def manifest_row(path: str, label: str = "u") -> Callable[[], Words]:
    def write() -> Words:
        rows = [(f"{'uv'[n % 2]}/{n}.png", "uv"[n % 2]) for n in range(16)]
        pd.DataFrame([*rows, (path, label)], columns=["path", "label"]).to_csv(folders() / "m.csv", index=False)
        png(Path("outside.png"), 99)
        return checked_images(Path("set/m.csv"))

    return write


def zip_member(name: str, *, link: str | None = None) -> Callable[[], Words]:
    def write() -> Words:
        inside = {str(path.relative_to("set")): path.read_bytes() for path in folders().rglob("*.png")}
        return checked_images(zipped({**inside, name: b"outside"}, link=link))

    return write


def linked(path: str, target: str) -> Callable[[], Words]:
    def write() -> Words:
        folders()
        png(Path("elsewhere/w.png"), 99)
        Path(path).symlink_to(Path(target).absolute())
        return checked_images(Path("set"))

    return write


def linked_through_a_manifest() -> Words:
    words = manifest_row("u/link.png")()
    Path("set/u/link.png").symlink_to(Path("outside.png").absolute())
    return words


def dataset_with_a_link(name: str, target: str) -> Callable[[], Words]:
    def write() -> Words:
        content = (dataset() / "train.csv").read_bytes()
        Path("elsewhere").mkdir()
        Path("elsewhere/train.csv").write_bytes(content)
        Path(name).unlink(missing_ok=True)
        Path(name).symlink_to(Path(target).absolute())
        return "verify", "data"

    return write


def dataset_manifest(change: Callable[[dict[str, object]], object]) -> Callable[[], Words]:
    def write() -> Words:
        changed(dataset() / "manifest.json", change)
        return "verify", "data"

    return write


def changed_dataset() -> Words:
    with (dataset() / "valid.csv").open("a") as file:
        file.write("1,a,u\n")
    return "verify", "data"


def hidden_manifest() -> Words:
    (dataset() / "more").mkdir()
    (dataset_file := Path("data/more/manifest.json")).write_text("{}")
    return "verify", dataset_file.parents[1]


def with_path(path: str) -> Callable[[dict[str, object]], object]:
    return lambda manifest: {**manifest, "files": [{"path": path, "bytes": 1, "sha256": "0" * 64}]}


# Name: what writes the files and says the command, and a word of the answer.
HOSTILE: dict[str, tuple[Callable[[], Words], str]] = {
    "57-dotdot-in-an-image-manifest": (manifest_row("../outside.png"), "leads out"),
    "57-backslash-dotdot-in-an-image-manifest": (manifest_row("..\\outside.png"), "leads out"),
    "57-absolute-path-in-an-image-manifest": (manifest_row("/etc/passwd"), "leads out"),
    "57-drive-in-an-image-manifest": (manifest_row("C:\\outside.png"), "leads out"),
    "57-nul-in-an-image-manifest": (manifest_row("u/\0.png"), "NUL byte"),
    "57-class-that-leads-out": (manifest_row("u/0.png", "../../evil"), "leads out"),
    "57-dotdot-in-a-dataset-manifest": (dataset_manifest(with_path("../t.csv")), "missing"),
    "57-absolute-path-in-a-dataset-manifest": (dataset_manifest(with_path("/etc/passwd")), "missing"),
    "57-model-kind-that-is-a-path": (model_of_kind("../../evil"), "not known"),
    "57-model-kind-that-is-a-module": (model_of_kind("os:system"), "not known"),
    "58-image-that-links-out": (linked("set/u/link.png", "elsewhere/w.png"), "leads out"),
    "58-class-folder-that-links-out": (linked("set/w", "elsewhere"), "leads out"),
    "58-manifest-that-names-a-link": (linked_through_a_manifest, "leads out"),
    "58-linked-file-in-a-dataset": (dataset_with_a_link("data/train.csv", "elsewhere/train.csv"), "is a link"),
    "58-linked-folder-in-a-dataset": (dataset_with_a_link("data/more", "elsewhere"), "is a link"),
    "59-zip-member-above": (zip_member("../outside.png"), "leads out"),
    "59-zip-member-above-by-backslash": (zip_member("..\\outside.png"), "leads out"),
    "59-zip-member-absolute": (zip_member("/tmp/outside.png"), "leads out"),
    "59-zip-member-on-a-drive": (zip_member("C:/outside.png"), "leads out"),
    "59-zip-member-that-is-a-link": (zip_member("u/link.png", link="u/link.png"), "leads out"),
    "59-zip-member-under-a-file": (zip_member("u/0.png/evil.png"), "cannot be unpacked"),
    "61-npz-with-objects": (object_npz, "pickled objects"),
    "61-npz-with-pickles-as-members": (pickle_in_npz, "is damaged"),
    "61-pickle-named-npz": (pickle_named("set.npz", checked_images), "damaged"),
    "61-pickle-named-zip": (pickle_named("set.zip", checked_images), "damaged"),
    "61-pickle-named-csv": (pickle_named("t.csv", checked_table), "neither CSV nor parquet"),
    "61-text-pickle-named-csv": (pickle_named("t.csv", checked_table, 0), "column"),
    "61-pickle-named-parquet": (pickle_named("t.parquet", checked_table), "not a whole parquet"),
    "61-pickle-named-yaml": (pickle_named("e.yaml", lambda path: ("check", path)), "UTF-8"),
    "61-pickle-among-images": (pickle_among_images, "not a PNG"),
    "61-parquet-extension-type": (extension_type, "x"),
    "61-parquet-with-pickled-metadata": (pickled_pandas_metadata, "not a whole parquet"),
    "61-torch-file-named-safetensors": (torch_file_as_safetensors, "SHA-256"),
    "61-safetensors-with-enormous-header": (enormous_header, "SHA-256"),
    "61-model-json-of-another-type": (model_json([1, 2]), "JSON with a kind"),
    "61-model-json-without-parts": (model_json({"kind": "marginals"}), "SHA-256"),
    "62-dataset-changed": (changed_dataset, "differs from its SHA-256"),
    "62-dataset-with-a-second-manifest": (hidden_manifest, "not in the manifest"),
    "62-model-changed": (other_model_file, "SHA-256"),
    "62-manifest-of-another-type": (dataset_manifest(lambda _: [1]), "damaged"),
    "62-manifest-with-files-of-another-type": (dataset_manifest(lambda _: {"files": 3}), "damaged"),
    "63-object-in-yaml": (config_file(f"name: {RUN_IT}"), "not plain YAML"),
    "63-module-in-yaml": (config_file("name: !!python/module:os"), "not plain YAML"),
    "63-object-in-an-override": (override, "not plain YAML"),
    "63-object-in-gates": (gates_file, "not plain YAML"),
    "63-yaml-of-aliases": (config_file(LAUGHS), "unfolds"),
    "63-yaml-of-a-thousand-brackets": (config_file("[" * 900), "not plain YAML"),
    "63-yaml-alias-of-itself": (config_file("source: &a [*a]"), "unfolds"),
    "63-yaml-date-in-month-13": (config_file("name: 2020-13-40"), "not plain YAML"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "word"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_and_runs_nothing(
    write: Callable[[], Words], word: str, ask, refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]  # fixtures are functions
    monkeypatch.chdir(tmp_path)
    words = write()
    before = {path for path in tmp_path.rglob("*") if not path.is_dir()}
    parent = set(tmp_path.parent.iterdir())
    if words[0] == "sample":  # it has no --json
        answer = ask(*words)
        assert answer.code == 2
        assert "Traceback" not in answer.err
        assert word in answer.err
    else:
        assert word in " ".join(f"{item['problem']} {item['hint']}" for item in refused(*words))
    assert {path for path in tmp_path.rglob("*") if not path.is_dir()} == before
    assert set(tmp_path.parent.iterdir()) == parent


def test_the_payload_would_have_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Payload()))
    assert Path(FLAG).exists()


@pytest.mark.parametrize("name", ["data/train.csv", "data/more"])
def test_58_a_linked_dataset_is_not_loaded_either(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataset_with_a_link(name, "elsewhere/train.csv")()
    with pytest.raises(IntegrityError, match="is a link"):
        load_dataset("data")


@pytest.mark.parametrize("key", ["parts", "modality", "formats", "dtypes", "verdict"])
def test_62_a_manifest_that_describes_other_files_is_refused(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changed(dataset() / "manifest.json", lambda manifest: {name: manifest[name] for name in manifest if name != key})
    with pytest.raises(IntegrityError, match="does not describe"):
        load_dataset("data")


FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.hub.load", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pd.eval", "torch.jit.load", "joblib.load",
}  # fmt: skip
SOURCES = sorted(
    path for package in (synthgen, pipelines) for path in Path(package.__file__ or "").parent.rglob("*.py")
)


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(tree: ast.AST) -> list[str]:
    """What could run code that a file holds."""
    found = []
    for node in ast.walk(tree):
        names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [f"{node.module}.{item.name}" for item in node.names] if isinstance(node, ast.ImportFrom) else []
        found += [name for name in names if name.split(".")[0] in FORBIDDEN_MODULES or name in FORBIDDEN_CALLS]
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            given = {
                word.arg: ast.unparse(word.value) for word in node.keywords if word.arg in ("allow_pickle", "shell")
            }
            found += [called] if called in FORBIDDEN_CALLS or called.endswith((".read_pickle", ".to_pickle")) else []
            found += [called] if called == "np.load" and given.get("allow_pickle") != "False" else []
            found += ["allow_pickle"] if given.get("allow_pickle") == "True" else []
            found += ["shell"] if given.get("shell", "False") != "False" else []
    return found


def test_61_nothing_in_the_package_runs_what_a_file_holds() -> None:
    assert len(SOURCES) > 100
    found = {str(path): dangers(ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "code",
    ["import pickle", "from joblib import load", "eval('1')", "torch.load(p)", "np.load(p)", "yaml.load(t)",
     "subprocess.run(c, shell=True)", "np.load(p, allow_pickle=True)", "frame.to_pickle(p)", "pd.read_pickle(p)"],
)  # fmt: skip
def test_61_the_search_finds_what_it_looks_for(code: str) -> None:
    assert dangers(ast.parse(code))
