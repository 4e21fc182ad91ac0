"""How data differ from those of an earlier run: column by column, and all columns together."""

from synthgen.metrics.drift.comparing import compare

__all__ = ["compare"]
