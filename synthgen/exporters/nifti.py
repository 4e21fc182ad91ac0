"""NIfTI-1 files: a slice or volume with its affine, its type, and the word synthetic in the header."""

import gzip

import numpy as np
from nibabel import Nifti1Image

from synthgen.exporters.image_files import Image, Origin
from synthgen.scans import Scan


def nifti_files(image: Image, origin: Origin) -> dict[str, bytes]:
    """The gzipped file of a slice [1, h, w] or a volume [1, d, h, w], in `scan.axes`, by what follows its stem."""
    scan = origin.scan or Scan("nifti", "uint8" if image.dtype == np.uint8 else "uint16")
    stored = scan.stored(image)
    places = np.argsort(scan.axes)  # of the file's axes among those of the set
    affine = None if scan.affine is None else np.asarray(scan.affine)[:, [*places, 3]]
    file = Nifti1Image((stored if stored.ndim == 3 else stored[0]).transpose(places), affine)
    spacing = scan.spacing_mm
    if affine is None and spacing is not None:
        # Without a code nothing is said of the orientation. Readers refuse a length of 0; an unknown one is usually 1.
        file.header.set_zooms([spacing[place] or 1.0 for place in places])
    file.header.set_xyzt_units("unknown" if spacing is None else "mm")
    kind = "synthetic" if origin.synthetic else "real"
    file.header["descrip"] = f"{kind}, synthgen run {origin.run_id}".encode("ascii", "replace")[:79]
    # The time in a gzip header would make every copy another file.
    return {".nii.gz": gzip.compress(file.to_bytes(), 6, mtime=0)}
