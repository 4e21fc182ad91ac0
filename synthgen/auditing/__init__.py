"""The evaluation of a run for anybody's synthetic data: no training."""

from synthgen.auditing.judging import audit_data
from synthgen.auditing.reading import Input
from synthgen.auditing.running import AuditOutcome, audit_material, check_audit, run_audit, run_tracked_audit

__all__ = ["AuditOutcome", "Input", "audit_data", "audit_material", "check_audit", "run_audit", "run_tracked_audit"]
