"""An image GAN trained by several processes: what they do together at a tick."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch import Tensor

from synthgen.errors import ResourceError
from synthgen.gan.state import TrainingState

_RUNNING = ("running_mean", "running_var")


def average_statistics(state: TrainingState) -> None:
    """Give every process the mean of what the batch norms of all have counted.

    Training normalises by the batch at hand, so only drawing needs them: a message for each tick will do. The mean
    rests on as many images as one process with the whole batch counts; the leader's own would rest on its share.
    """
    state.team.average_all([value for name, value in _counted(state).items() if name.endswith(_RUNNING)])


@contextmanager
def leading(state: TrainingState) -> Iterator[None]:
    """Tell the others what the block decides: to go on, to go back, or to end where it raises."""
    team, rollbacks = state.team, state.rollbacks
    if team.size == 1:
        yield
        return
    try:
        yield
    except BaseException:
        # One that is gone must not hide what was raised.
        with suppress(ResourceError):
            team.tell({})
        raise
    team.tell(state.numbers())
    # What the leader looked at went through its batch norms.
    team.share(state.tensors() if state.rollbacks > rollbacks else _counted(state))


def follow(state: TrainingState, seed: int) -> bool:
    """Go to where the leader stands; whether it goes on."""
    team = state.team
    if not (numbers := team.tell()):
        return False
    own = {} if numbers["rollbacks"] > state.rollbacks else state.tensors()
    state.restore({**own, **team.share()}, numbers)
    # From here a training that is gone on with draws the same.
    team.reseed(state.rng, seed, state.step)
    return True


def _counted(state: TrainingState) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value
        for name, network in (("generator", state.generator), ("average", state.average))
        for key, value in network.named_buffers()
    }
