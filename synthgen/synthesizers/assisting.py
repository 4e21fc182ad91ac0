"""What a process of a team does that does not lead: help with one training after the other."""

from synthgen.synthesizers.ctgan.assisting import assist as assist_ctgan
from synthgen.synthesizers.image_assisting import assist as assist_image_gan
from synthgen.team import END, joined


def help_out() -> None:
    """Follow the leader from training to training until it has no more."""
    with joined() as team:
        while (job := team.tell()) != END:
            match job["job"]:
                case "ctgan":
                    assist_ctgan(job, team)
                case "image-gan":
                    assist_image_gan(job, team)
