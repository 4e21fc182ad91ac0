"""The classifier downstream: trained with and without the synthetic rows, beside every control."""

from synthgen.downstream.running import DEFAULT_SEEDS, DownstreamOutcome, check_downstream, run_downstream

__all__ = ["DEFAULT_SEEDS", "DownstreamOutcome", "check_downstream", "run_downstream"]
