"""croissant.json: the dataset in the words of ML Croissant 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from synthgen.exporters.tables import escape_formula
from synthgen.files import sha256_file

_CONTEXT: Mapping[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_IMAGE_FILES = {
    "folder": ("image/png", "png"),
    "dicom": ("application/dicom", "dcm"),
    "nifti": ("application/gzip", "nii.gz"),
}
_ENCODINGS = {".parquet": "application/x-parquet", ".csv": "text/csv", ".npz": "application/zip"}
_DATA_TYPES = {"i": "sc:Integer", "u": "sc:Integer", "I": "sc:Integer", "U": "sc:Integer", "f": "sc:Float",
               "b": "sc:Boolean", "d": "sc:DateTime"}  # fmt: skip
_INDEX_TYPES = {"path": "object", "label": "object", "split": "object", "synthetic": "bool"}


def croissant_json(manifest: Mapping[str, object], directory: Path) -> dict[str, object]:
    """JSON-LD that describes the data files in `directory`: their hashes, records, fields and types."""
    files = sorted(cast("Mapping[str, int]", manifest["rows"]))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": str(manifest["name"]),
        "description": _description(manifest),
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        "datePublished": str(manifest.get("created", "")),
        "creator": {"@type": "sc:Organization", "name": "synthgen"},
        "citeAs": f"synthgen dataset {manifest['name']}, run {manifest['run_id']}",
        "license": "That of the source data.",
        "url": f"urn:synthgen:{manifest['run_id']}",
        "isLiveDataset": False,
        "rai:dataCollection": f"Synthetic rows: drawn from the model {manifest.get('synthesizer', 'of the run')!r}.",
        "rai:dataLimitations": "See CARD.md and the report of the run.",
        "distribution": [*(_file(directory / name) for name in files), *_image_sets(manifest)],
        "recordSet": [record for name in files for record in _records(name, manifest)],
    }


def _description(manifest: Mapping[str, object]) -> str:
    parts = cast("Mapping[str, Mapping[str, int]]", manifest["parts"])
    counts = "; ".join(f"{name}: {count['real']} real, {count['synthetic']} synthetic" for name, count in parts.items())
    return f"Emitted by synthgen, run {manifest['run_id']}, verdict {manifest['verdict']}. Rows: {counts}."


def _file(path: Path) -> dict[str, object]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "encodingFormat": _ENCODINGS[path.suffix],
        "sha256": sha256_file(path),
    }


def _image_sets(manifest: Mapping[str, object]) -> list[dict[str, object]]:
    known = [_IMAGE_FILES[name] for name in cast("list[str]", manifest["formats"]) if name in _IMAGE_FILES]
    if not known:
        return []
    encoding, suffix = known[0]
    return [
        {"@type": "cr:FileSet", "@id": f"{part}-images", "name": f"{part}-images", "encodingFormat": encoding,
         "includes": f"{part}/*/*.{suffix}"}
        for part in cast("Mapping[str, Any]", manifest["parts"])
    ]  # fmt: skip


def _records(file: str, manifest: Mapping[str, object]) -> list[dict[str, object]]:
    stem, _, suffix = file.partition(".")
    if suffix == "npz":  # Croissant 1.0 has no words for arrays inside an archive.
        return []
    dtypes = {**_INDEX_TYPES, **dict.fromkeys(cast("Mapping[str, object]", manifest.get("attributes", {})), "object")}
    if manifest["modality"] == "table":
        dtypes = cast("Mapping[str, dict[str, str]]", manifest["dtypes"])[stem]
    record = file.replace(".", "-")
    fields = [
        _field(f"{record}/{_identifier(name, position)}", name, dtype, file)
        for position, (name, dtype) in enumerate(dtypes.items())
    ]
    return [{"@type": "cr:RecordSet", "@id": record, "name": record, "field": fields}]


def _identifier(name: str, position: int) -> str:
    # A column may be named anything, an @id may not.
    return name if re.fullmatch(r"[A-Za-z_][\w.-]*", name, re.ASCII) else f"column-{position}"


def _field(identifier: str, name: str, dtype: str, file: str) -> dict[str, object]:
    column = escape_formula(name) if file.endswith(".csv") else name
    return {
        "@type": "cr:Field",
        "@id": identifier,
        "name": identifier,
        "description": name,
        "dataType": _DATA_TYPES.get(dtype[0], "sc:Text"),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    }
