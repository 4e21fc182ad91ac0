"""What a process of a team does that does not lead: help with one training after the other."""

import logging

from synthgen.config import RunConfig
from synthgen.errors import name_list
from synthgen.synthesizers.ctgan.assisting import assist as assist_ctgan
from synthgen.synthesizers.image_assisting import assist as assist_image_gan
from synthgen.team import END, Team, joined

logger = logging.getLogger(__name__)

# `auto` stands for image-gan, and of a table has ctgan among its models.
_SHARED = ("auto", "ctgan", "image-gan")


def warn_of_idlers(config: RunConfig, team: Team) -> None:
    """Log that the others of the team have nothing to do, where the leader trains this model alone."""
    if team.size == 1 or (config.synthesizer.kind in _SHARED and config.privacy is None):
        return
    model = f"{config.synthesizer.kind}{' with dp' if config.privacy else ''}"
    note = (
        f"warning: {model} is trained by one process, {team.size - 1} of {team.size} will idle;"
        f" several processes train {name_list(_SHARED)}, without dp"
    )
    logger.warning("%s", note, extra={"note": note})


def help_out() -> None:
    """Follow the leader from training to training until it has no more."""
    with joined() as team:
        while (job := team.tell()) != END:
            match job["job"]:
                case "ctgan":
                    assist_ctgan(job, team)
                case "image-gan":
                    assist_image_gan(job, team)
