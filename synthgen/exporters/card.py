"""CARD.md: the datasheet that travels with an emitted dataset. After Gebru 2021, Datasheets for Datasets."""

import re
from collections.abc import Mapping
from typing import cast

_MARKDOWN = re.compile(r"([\\`*_\[\]#!|~$])")
_SHOWN_CLASSES = 30

_VERDICTS = {
    "PASS": "Every required check passed on the bad end of its 95 % interval.",
    "INCONCLUSIVE": "At least one required check could not be decided with so few rows. Treat the gain as unproven.",
    "NOT AUDITED": "Nobody could check this data: real rows that the model had not seen were missing.",
    "FAIL": "At least one required check failed. The data was written because somebody forced it: do not rely on it.",
}
_CONTENTS = {
    "train": "real training rows and the synthetic rows, told apart by the mark `synthetic`",
    "valid": "real rows held back for choices such as early stopping",
    "holdout": "real rows that no stage has seen; test on these",
    "synthetic": "the synthetic rows alone",
}


def card_text(manifest: Mapping[str, object]) -> str:
    """Markdown: what it is, how it was made, the verdict, the limits, where it comes from."""
    sections = [
        f"# {escape_markdown(str(manifest['name']))}",
        _verdict(manifest),
        f"## What it is\n\n{_contents(manifest)}",
        f"## How it was made\n\n{_making(manifest)}",
        f"## Limits\n\n{_limits(manifest)}",
        f"## Where it comes from\n\n{_provenance(manifest)}",
    ]
    return "\n\n".join(sections) + "\n"


def escape_markdown(text: str) -> str:
    """The text as one line that Markdown shows as it is, HTML included."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", plain)


def _verdict(manifest: Mapping[str, object]) -> str:
    verdict = str(manifest["verdict"])
    forced = "\n\n**Forced: it was emitted against its verdict.**" if manifest.get("forced") else ""
    return f"**Verdict: {verdict}.** {_VERDICTS[verdict]} The report of the run has every number.{forced}"


def _contents(manifest: Mapping[str, object]) -> str:
    parts = cast("Mapping[str, Mapping[str, int]]", manifest["parts"])
    lines = ["| part | real | synthetic | what |", "|---|---:|---:|---|"]
    lines += [f"| {name} | {n['real']:,} | {n['synthetic']:,} | {_CONTENTS[name]} |" for name, n in parts.items()]
    classes = cast("list[str]", manifest["classes"])
    shown = ", ".join(escape_markdown(name) for name in classes[:_SHOWN_CLASSES])
    more = f" and {len(classes) - _SHOWN_CLASSES} more" if len(classes) > _SHOWN_CLASSES else ""
    return "\n".join([*lines, "", f"Classes ({len(classes)}): {shown}{more}. {_form(manifest)}"])


def _form(manifest: Mapping[str, object]) -> str:
    if manifest["modality"] == "images":
        shape = " x ".join(str(side) for side in cast("list[int]", manifest["image_shape"]))
        sides = "channels, height, width" if shape.count(" x ") == 2 else "channels, depth, height, width"
        return f"Images: {shape} ({sides}), {manifest['image_dtype']}."
    schema = cast("Mapping[str, object]", manifest["schema"])
    label = schema["label"]
    return f"Columns: {len(cast('Mapping[str, str]', schema['kinds']))}; label: {escape_markdown(str(label))}."


def _making(manifest: Mapping[str, object]) -> str:
    model = escape_markdown(str(manifest.get("synthesizer", "the model of the run")))
    return (
        f"A generative model ({model}) was trained on the real training rows only. Its candidates were screened for "
        "copies and for quality, and the chosen rows were compared with real rows that no stage had seen."
    )


def _limits(manifest: Mapping[str, object]) -> str:
    share = "- No real row is in this folder." if manifest["purpose"] == "share" else (
        "- Real rows are in this folder: it is for use inside the house, not to be given away."
    )  # fmt: skip
    return "\n".join([
        share,
        "- No formal privacy guarantee is claimed: the checks are attacks that were tried, not a proof.",
        "- Synthetic rows repeat the errors and the biases of the rows they were learned from.",
        "- Synthetic rows never belong into a test set, nor into a count of how often something happens.",
    ])  # fmt: skip


def _provenance(manifest: Mapping[str, object]) -> str:
    known = {
        "Run": manifest["run_id"],
        "Made": manifest.get("created"),
        "Purpose": manifest["purpose"],
        "SHA-256 of the source data": manifest["data_sha256"],
    }
    lines = [f"- {name}: {escape_markdown(str(value))}" for name, value in known.items() if value is not None]
    check = "`manifest.json` has the SHA-256 of every file here, and `synthgen verify` compares them."
    return "\n".join([*lines, "", f"{check} The licence is that of the source data."])
