"""Identifiers for rows that have none: new ones in the format of the real ones."""

import numpy as np
import pandas as pd

from synthgen.datasets import Splits, Table
from synthgen.synthesizers.encoding.identifiers import IdFormat, id_hashes


def with_new_ids(synthetic: Table, splits: Splits, rng: np.random.Generator) -> Table:
    """The rows with every id column of the real ones, none of whose ids occurs there.

    Raises:
        DataError: a format offers too few new ids.
    """
    real = [part.frame for _, part in splits.parts() if isinstance(part, Table)]
    ids = {}
    for name, kind in synthetic.schema.kinds.items():
        if kind == "id":
            column = pd.concat([frame[name] for frame in real], ignore_index=True)
            ids[name] = IdFormat.fit(column).draw(len(synthetic), rng, id_hashes(column))
    frame = synthetic.frame.assign(**ids)
    return Table(frame[[name for name in synthetic.schema.kinds if name in frame]], synthetic.schema)
