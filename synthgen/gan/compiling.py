"""When a training compiles its networks, and what happens where they cannot be compiled."""

import logging
import time
import warnings
from functools import partial

from synthgen.config import ImageGanConfig
from synthgen.errors import TrainingError
from synthgen.gan.batches import Batches
from synthgen.gan.graphs import Graphs
from synthgen.gan.losses import LOSSES
from synthgen.gan.state import TrainingState
from synthgen.gan.steps import discriminator_objective, train_step

logger = logging.getLogger(__name__)

# Compiling takes one to five minutes.
_WORTH_MINUTES = 15.0


def compile_networks(state: TrainingState, batches: Batches, config: ImageGanConfig) -> None:
    """Let the state train by compiled graphs where the configuration asks for it, or where they pay.

    Two steps are tried, with the penalty and without, and taken back: what follows is as if they had not been.

    Raises:
        TrainingError: `compile: true`, and the networks cannot be compiled.
    """
    if not (config.compile is True or (config.compile == "auto" and _pays(state, config))):
        return
    # A second each, for those alone who compile.
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    before, started = state.copied(), time.monotonic()
    state.graphs = Graphs(
        state.generator,
        state.discriminator,
        partial(discriminator_objective, loss=LOSSES[config.loss]),
    )
    try:
        with warnings.catch_warnings():
            # torch looks at what it is given, and then warns of having looked.
            warnings.filterwarnings("ignore", message=r"The \.grad attribute of a Tensor")
            for state.step in (0, 1):
                train_step(state, batches, config)
    except (TorchDynamoException, InductorError) as error:
        state.graphs = None
        reason = str(error).strip().partition("\n")[0]
        if config.compile is True:
            message = f"the networks cannot be compiled here: {reason}"
            hint = "false trains them as they are; a compiler for C++ or Triton is needed"
            raise TrainingError(message, where="synthesizer.compile", hint=hint) from error
        logger.warning("train uncompiled reason=%s", reason)
    state.take_back(before)
    logger.info("compile networks seconds=%.0f", time.monotonic() - started)


def _pays(state: TrainingState, config: ImageGanConfig) -> bool:
    """On a CPU compiled steps are no faster: 286 images per second against 302, 169 against 199 if residual."""
    is_long = not (config.budget_steps or config.budget_images) and config.budget_minutes >= _WORTH_MINUTES
    return state.device.type == "cuda" and is_long and not config.changes_while_training
