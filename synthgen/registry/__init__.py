"""MLflow's model registry: every finished run's model, which of them is in use, and which was before."""
