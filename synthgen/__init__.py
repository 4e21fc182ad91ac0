"""Augment a labelled dataset with a GAN, and prove on held-out real data what that is worth."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgen.api import audit, augment
    from synthgen.exporters import load_dataset

__version__ = "0.1.0"
__all__ = ["audit", "augment", "load_dataset"]


def __getattr__(name: str) -> Any:
    # Resolved on first use: `import synthgen` must not cost the seconds that torch and pandas take.
    match name:
        case "audit" | "augment":
            from synthgen import api

            return getattr(api, name)
        case "load_dataset":
            from synthgen.exporters import load_dataset

            return load_dataset
    raise AttributeError(f"module 'synthgen' has no attribute {name!r}")
