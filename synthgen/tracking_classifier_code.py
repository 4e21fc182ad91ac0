"""What MLflow runs for a registered classifier: it predicts with the files that lie beside it.

Copied beside each model ("models from code") and read from there; nothing is unpickled.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from synthgen.metrics.saved_classifier import load_classifier


class RegisteredClassifier(PythonModel):
    """Predicts the class of each row of a frame: with the columns of training, or with an `image` [c, *size] each."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the classifier; the parameter's name is MLflow's."""
        self.classifier = load_classifier(Path(context.artifacts["classifier"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The class of each row in `prediction`, and the probability of each class in a column of its name."""
        rows = np.stack(list(model_input["image"])) if self.classifier.label is None else model_input
        chances = self.classifier.learnt.probabilities(rows)
        frame = pd.DataFrame(chances, columns=list(self.classifier.classes))
        frame.insert(0, "prediction", self.classifier.decided(chances), allow_duplicates=True)
        return frame


set_model(RegisteredClassifier())
