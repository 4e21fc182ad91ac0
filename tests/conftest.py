"""Settings of the whole suite."""

import os

# Two workers on two cores: more threads would only wait for each other, many times slower than one alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")
