"""What MLflow runs for a registered model: it draws rows from the synthesizer that lies beside it.

Copied beside each model ("models from code") and read from there; nothing is unpickled.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from synthgen.datasets import Table
from synthgen.stats import named_rng
from synthgen.synthesizers import load_synthesizer


class RegisteredSynthesizer(PythonModel):
    """Draws the rows that a frame of counts asks for."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the synthesizer; the parameter's name is MLflow's."""
        self.synthesizer = load_synthesizer(Path(context.artifacts["synthesizer"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """`n` rows of each `label`; without `label` the sum of `n`, classes as frequent as in training.

        Images come as the columns `label` and `image`, an array [c, h, w] each. The same `seed` draws the same rows.
        """
        counts = model_input["n"].to_numpy(np.int64)
        named = "label" in model_input.columns and bool(model_input["label"].notna().all())
        labels = np.repeat(model_input["label"].to_numpy(np.str_), counts) if named else None
        rng = named_rng(int((params or {}).get("seed", 0)), "sample/registered")
        drawn = self.synthesizer.sample(int(counts.sum()), labels, rng)
        if isinstance(drawn, Table):
            return drawn.frame
        return pd.DataFrame({"label": drawn.labels, "image": list(drawn.images)})


set_model(RegisteredSynthesizer())
