"""The metrics. To add one: write a function `Evaluation -> Finding` in the folder of its question, add a line to METRICS."""
