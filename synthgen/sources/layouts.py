"""Where labelled image files stand: class folders, folders of a given split, or a manifest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from synthgen.config import ImageSource
from synthgen.errors import DataError
from synthgen.remote import address_of, is_elsewhere, local_copy
from synthgen.sources.frames import first_bytes, read_frame
from synthgen.sources.header import require_column
from synthgen.sources.listed_series import SLICES, names_volumes, volume_files
from synthgen.splitting import PART_NAMES, standard_parts

# Files that stand beside images and are none.
BESIDE = {".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".db", ".ini", ".html", ".pdf"}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".nii", ".nii.gz")
MANIFEST_SUFFIXES = (".csv", ".parquet")
# Of an attribute. More are learned from too few images each.
MOST_LEVELS = 64
# The last is our own default workspace.
JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini", "synthgen-workspace"}


@dataclass(frozen=True)
class Entry:
    """One image file with its label. `name`: how a message calls the file; `part` and `group` None when not given.

    Attributes:
        attributes: levels, in the order of source.attributes.
        volume: what the slices of one volume have in common, in the index of an emitted dataset; else None.
    """

    path: Path
    name: str
    label: str
    part: str | None = None
    group: str | None = None
    attributes: tuple[str, ...] = ()
    volume: str | None = None


def source_files(source: ImageSource, split_column: str | None) -> list[tuple[str, Path]]:
    """The files that decide what the source holds, each with what a message calls it; raises DataError as reading does.

    They are found, not decoded: the archive, the images of the class folders, or the manifest and what it lists.
    """
    path = Path(source.path)
    if path.is_dir():
        return [(entry.name, entry.path) for entry in folder_entries(path)]
    if first_bytes(path).startswith(b"PK") or path.suffix in (".npz", ".zip"):
        return [(path.name, path)]
    entries = manifest_entries(path, source, split_column)
    return [(path.name, path), *((entry.name, entry.path) for entry in entries)]


def folder_entries(root: Path) -> list[Entry]:
    """The files of `root/<class>/` or `root/<train|valid|holdout>/<class>/`, sorted by name."""
    folders = _subfolders(root)
    while len(folders) == 1 and _subfolders(folders[0]):
        # One folder around everything, as archives often have.
        folders = _subfolders(folders[0])
    if not folders:
        hint = "put the images of each class into a folder with its name, or give a manifest with path and label"
        raise DataError(f"{root.name!r} has no class folders", where=str(root), hint=hint)
    parts = {folder: PART_NAMES.get(folder.name.lower()) for folder in folders}
    if all(parts.values()) and all(_subfolders(folder) for folder in folders):
        return [entry for folder in folders for entry in _class_entries(_subfolders(folder), root, parts[folder])]
    return _class_entries(folders, root, None)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if item.is_dir() and not _is_junk(item))


def _is_junk(item: Path) -> bool:
    return item.name.startswith(".") or item.name in JUNK


def _class_entries(folders: Sequence[Path], root: Path, part: str | None) -> list[Entry]:
    return [
        Entry(file, _relative(file, root), folder.name, part) for folder in folders for file in _files(folder, root)
    ]


def _files(folder: Path, root: Path) -> Iterator[Path]:
    check_inside(folder, root, _relative(folder, root))
    items = sorted(item for item in folder.iterdir() if not _is_junk(item))
    inner = [item for item in items if item.is_dir()]
    if inner:
        hint = (
            "put the files of each class straight into its folder, or give a manifest with path, label and group;"
            f" if {folder.name!r} is no class, give that folder"
        )
        raise DataError(
            f"class folder {_relative(folder, root)!r} holds folders, not images", where=str(folder), hint=hint
        )
    files = [item for item in items if item.suffix.lower() not in BESIDE]
    if not files:
        raise DataError(f"class folder {_relative(folder, root)!r} is empty", where=str(folder), hint="remove it")
    for file in files:
        if file.is_symlink():
            check_inside(file, root, _relative(file, root))
        yield file


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def check_inside(path: Path, root: Path, name: str) -> None:
    """Raise DataError when the path, links followed, leaves the root."""
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"{name} leads out of the folder {root.name!r}", where=name, hint="copy the file into the folder"
        )


def local_source(place: str | Path, cache: Path) -> Path:
    """As `remote.local_copy`; a manifest comes with the image files that it lists."""
    copy = local_copy(place, cache)
    if not is_elsewhere(place) or copy.suffix.lower() not in MANIFEST_SUFFIXES:
        return copy
    frame = read_frame(copy)
    columns = [frame[name].dropna() for name in frame.columns if _names_images(frame[name])]
    if not columns:
        return copy
    folder, _, name = address_of(place).rpartition("/")
    listed = {PurePosixPath(str(value)).as_posix() for column in columns for value in column}
    if SLICES in frame and names_volumes(frame, str(columns[0].name)):
        listed.update(name for names in volume_files(frame, str(columns[0].name), copy) for name in names)
    return local_copy(folder, cache, only={name, *listed}) / name


def path_column_of(frame: pd.DataFrame, manifest: Path) -> str | None:
    """The first column that names image files below the manifest's folder; None where there is none: it is a table."""
    return next((str(name) for name in frame.columns if _holds_image_paths(frame[name], manifest)), None)


def _holds_image_paths(column: pd.Series, manifest: Path) -> bool:
    # One that is there makes it a manifest: those that are not are then refused by their rows.
    return _names_images(column) and any(_is_file(manifest.parent / text) for text in _first_texts(column))


def _names_images(column: pd.Series) -> bool:
    texts = _first_texts(column)
    return bool(texts) and all(text.lower().endswith(IMAGE_SUFFIXES) for text in texts)


def _first_texts(column: pd.Series) -> list[str]:
    return [str(value) for value in column.dropna().head(20)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # no name that a file can have


def manifest_entries(path: Path, source: ImageSource, split_column: str | None) -> list[Entry]:
    """The files that a CSV or parquet manifest lists, paths relative to it; raises DataError naming the row."""
    return listed_entries(read_frame(path), path, source, split_column)


def listed_entries(frame: pd.DataFrame, path: Path, source: ImageSource, split_column: str | None) -> list[Entry]:
    """The files that these rows of the manifest at `path` list, as `manifest_entries`."""
    columns = [str(name) for name in frame.columns]
    attributes = [("attributes", name) for name in source.attributes]
    for role, name in (("path_column", source.path_column), ("label", source.label), ("group", source.group),
                       ("split.column", split_column), *attributes):  # fmt: skip
        if name is not None:
            require_column(role, name, columns, path.name)
    for name in (source.path_column, source.label, *source.attributes):
        missing = int(frame[name].isna().sum())
        if missing:
            message = f"column {name!r} of {path.name!r} is missing in {missing:,} of {len(frame):,} rows"
            raise DataError(message, where=str(path))
    known = _attributes(frame, source.attributes, path)
    files, volumes = _files_of_rows(frame, path, source.path_column)
    labels = _texts(frame[source.label])
    groups: Sequence[str | None] = _groups(frame[source.group]) if source.group else [None] * len(frame)
    parts: Sequence[str | None] = [None] * len(frame)
    if split_column is not None:
        parts = standard_parts(frame[split_column], f"column {split_column!r} of {path.name!r}").tolist()
    return [
        Entry(file, f"{path.name} row {row}", label, part, group, levels, f"row {row}" if volumes else None)
        for row, (some, label, part, group, levels) in enumerate(
            zip(files, labels, parts, groups, known, strict=True), start=1
        )
        for file in some
    ]


def _files_of_rows(frame: pd.DataFrame, path: Path, column: str) -> tuple[list[list[Path]], bool]:
    """The files of each row, and whether they are the slices of a volume."""
    volumes = names_volumes(frame, column)
    names = volume_files(frame, column, path) if volumes else ([text] for text in _texts(frame[column]))
    rows = enumerate(names, start=1)
    inside: set[Path] = set()
    return [[_manifest_file(path, text, row, inside) for text in some] for row, some in rows], volumes


def _attributes(frame: pd.DataFrame, names: Sequence[str], path: Path) -> list[tuple[str, ...]]:
    for name in names:
        levels = frame[name].nunique()
        if levels > MOST_LEVELS:
            message = f"column {name!r} of {path.name!r} has {levels:,} values, an attribute at most {MOST_LEVELS}"
            raise DataError(message, where="source.attributes", hint="put numbers into a few ranges, or leave it out")
    columns = [_texts(frame[name]) for name in names]
    return list(zip(*columns, strict=True)) if columns else [()] * len(frame)


def _groups(column: pd.Series) -> list[str]:
    # An image without a group is a group of its own.
    alone = pd.Series([f"(row {row})" for row in range(1, len(column) + 1)])
    return column.astype(object).where(column.notna(), alone).astype(str).tolist()


def _texts(column: pd.Series) -> list[str]:
    return column.astype(str).tolist()


def _manifest_file(manifest: Path, text: str, row: int, inside: set[Path]) -> Path:
    # `inside` grows by the folders that were looked at: following links costs as much as hashing a small file.
    where = f"{manifest.name} row {row}"
    plain = PurePosixPath(text.replace("\\", "/"))
    if plain.is_absolute() or PureWindowsPath(text).is_absolute() or ".." in plain.parts:
        raise DataError(f"{where}: the path leads out of the manifest's folder", where=str(manifest),
                        hint="paths are relative to the manifest, without '..'")  # fmt: skip
    file = manifest.parent / plain
    if not file.is_file():
        raise DataError(
            f"{where}: there is no such file", where=str(manifest), hint="paths are relative to the manifest"
        )
    if file.parent not in inside:
        check_inside(file.parent, manifest.parent, where)
        inside.add(file.parent)
    if file.is_symlink():
        check_inside(file, manifest.parent, where)
    return file
