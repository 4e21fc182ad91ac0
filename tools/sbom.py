"""The bill of materials on stdout: CycloneDX 1.6 JSON of every package in constraints.txt, as it is installed here.

    python tools/sbom.py > build/sbom.cdx.json

A package of constraints.txt that is not installed is listed with its version alone; one of another version ends it.
"""

import json
import sys
import uuid
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def pinned() -> dict[str, str]:
    """Version by name, as constraints.txt has them."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def installed(name: str) -> metadata.Distribution | None:
    """The installed package, if there is one."""
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def component(name: str, version: str) -> dict[str, object]:
    """Name, version and licence of one package."""
    found = installed(name)
    # What follows a plus, as in 2.13.0+cpu, is the same release built in another way.
    if found is not None and found.version.partition("+")[0] != version:
        sys.exit(f"{name} is installed in version {found.version}, constraints.txt says {version}: run make again")
    reference = f"pkg:pypi/{name}@{version}"
    facts: dict[str, object] = {"type": "library", "bom-ref": reference, "name": name, "version": version,
                                "purl": reference}  # fmt: skip
    about = found.metadata if found is not None else {}
    expression, text = about.get("License-Expression"), (about.get("License") or "").strip()
    if expression:
        return {**facts, "licenses": [{"expression": expression}]}
    short = text.splitlines()[0][:100] if text else ""
    return {**facts, "licenses": [{"license": {"name": short}}]} if short else facts


def needed(name: str, versions: dict[str, str]) -> list[str]:
    """References of the packages that this one needs here."""
    found = installed(name)
    asked = [Requirement(text) for text in (found.requires or [])] if found is not None else []
    names = {
        canonicalize_name(item.name) for item in asked if item.marker is None or item.marker.evaluate({"extra": ""})
    }
    return sorted(f"pkg:pypi/{item}@{versions[item]}" for item in names if item in versions)


def main() -> None:
    """Print it; the same installation gives the same bytes."""
    versions = pinned()
    own = {"type": "application", "bom-ref": "synthgen", "name": "synthgen", "version": metadata.version("synthgen")}
    components = [component(name, version) for name, version in sorted(versions.items())]
    references = {f"pkg:pypi/{name}@{version}": name for name, version in versions.items()}
    graph = [{"ref": "synthgen", "dependsOn": needed("synthgen", versions)}]
    graph += [{"ref": reference, "dependsOn": needed(name, versions)} for reference, name in sorted(references.items())]
    content = {"metadata": {"component": own}, "components": components, "dependencies": graph}
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True)).urn
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": serial, "version": 1}
    json.dump({**head, **content}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
