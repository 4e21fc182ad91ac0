"""Any table synthesizer kept to the constraints of its table."""
