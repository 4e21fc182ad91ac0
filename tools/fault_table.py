"""docs/faults.md on stdout: what each bad input or fault gets, and the tests that show it, from the ids of the tests.

    python tools/fault_table.py > docs/faults.md

The number of a case leads the id of its tests, as in `test_07_...` or `[07-constant-column]`. A case without a test, or
a test of a case that is not listed here, ends the tool.
"""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("tests/faults", "tests/browser")
# What comes in | what it gets. E: an error of one sentence, exit code 2, nothing written. W: a warning on stderr and in
# the report. H: handled.
CASES = """\
empty file | E
header without rows | E
one row | E
fewer rows than a batch, or no multiple of pac | H
column names that are there twice | E
blank column name | E
constant column | H, comes back exactly
column without any value | H
gaps in a numeric column | H, their share comes back
gaps in a categorical column | H, their share comes back
missing labels | E, with the count
infinite numbers | E
numbers of 1e308 | E
whole numbers beyond 2^53 | H, exactly
numbers and texts in one column | E
decimal comma | E, with a hint
leading zeros | H, kept as text
"NA" and "null" that are texts, in parquet | H, kept as text
dates and times, with a zone and without | H
booleans | H, stay booleans
nullable dtypes | H, kept
one class | E
class with one row | W, never on both sides
class that is not in the holdout | W
a text of its own in nearly every row | E, unless declared an id
100,000 categories | E, with the count
one category in nearly all rows | H
equal rows | H, never on two sides
one group on two sides (`audit`) | E
label column that is not there | E, with the nearest name
tables of different columns (`audit`) | E, with their names
columns in another order (`audit`) | H
categories that are one text in Unicode | W
right-to-left text, emoji, line break in a column name | H
NUL byte, bytes that are no UTF-8 | E, with the byte
byte order mark | H
row with too many or too few cells | E, with the line
quote that never closes | E, with the line
wrong delimiter | E, with a hint
truncated parquet | E
more than 10,000 columns | E
cells that are formulas | H, escaped in CSV, untouched in parquet
truncated PNG or JPEG | E
image file of zero bytes | E
wrong extension | H, by the first bytes
images of mixed sizes | H as the config says, else E
images of mixed channels | H as the config says, else E
16-bit images | H, through to the emitted file
palette, CMYK, alpha | H
EXIF rotation | H, applied; nothing of it is emitted
decompression bomb | E
NaN in NIfTI | E
patient in a DICOM file | E unless removed; burned-in annotation: W
empty class folder | E
one image under two labels | E
near duplicates over train and holdout | W, with counts
`../` in a manifest, class or file name | E
link out of the folder | E
archive with paths outside | E
zip bomb | E
pickle or `.pt` that holds code | E, nothing runs
model or dataset whose hash differs | E
YAML that builds objects | E
secrets in a config | never in log, MLflow or report
markup in any name | inert, in a browser
kill -9 at any moment | the same command goes on; never half a dataset
full disk | E, the stage's folder is removed
losses that explode | back to the last good state at a lower rate, then E with what was tried
out of memory, device lost | E, can be gone on with
MLflow or Prefect out of reach; two runs at once | the data are safe, one winner
column named like our own mark | E, before training
numbers beyond 32 bits | H, the classifier tells them apart
dates more than 146 years apart | H, keep their days
whole numbers over all of uint64 | H, keep their raster
numeric column without any value, in pairs | H
dataset whose manifest names no dtypes | E
16-bit colour images, resized or made grey | H, every channel keeps its depth
zip without class folders | E, names the archive, not where it was unpacked
whole numbers or times too far apart for 62 bits | E, all columns at once, before training"""

HEAD = """\
# Bad inputs and faults

What each gets. E: an error of one sentence that says where and what is allowed, never a cell's value; exit code 2,
nothing written. W: a warning on stderr and in the report. H: handled. Cases from 71 on were found by random tables,
random images and changed bytes. This page is made from the ids of the tests: `python tools/fault_table.py`.
"""


def tests_of_cases() -> Mapping[int, list[str]]:
    """Ids of the tests of each case."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=--import-mode=importlib -q", "-n0", "--collect-only"]
    listed = subprocess.run([*command, *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603
    found: defaultdict[int, list[str]] = defaultdict(list)
    for line in listed.splitlines():
        function, _, parameters = line.partition("::")[2].partition("[")
        # A parameter says which of the cases that the function names it is.
        numbers = re.search(r"(?:^|-)((?:\d\d-)+)", parameters) or re.match(r"test_((?:\d\d_)+)", function)
        for number in re.findall(r"\d\d", numbers[1]) if numbers else ():
            found[int(number)].append(line)
    return found


def row(number: int, case: str, tests: list[str]) -> str:
    """One line of the table."""
    files = Counter(test.partition("::")[0] for test in tests)
    shown = ", ".join(f"[{Path(file).stem.removeprefix('test_')}](../{file})" for file in sorted(files))
    return f"| {number} | {case} | {len(tests)} | {shown} |"


def main() -> None:
    """Print the page."""
    cases, tests = CASES.splitlines(), tests_of_cases()
    if set(tests) != set(range(1, len(cases) + 1)):
        sys.exit(f"cases and tests differ in {sorted(set(tests) ^ set(range(1, len(cases) + 1)))}")
    rows = [row(number, case, tests[number]) for number, case in enumerate(cases, start=1)]
    print(HEAD, "| # | what comes | gets | tests | where |", "|---|---|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
