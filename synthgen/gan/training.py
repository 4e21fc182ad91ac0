"""The training loop of the image GAN: images shown are the unit, ticks are where anything is read or written."""

import logging
import math
import time
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from synthgen.config import ImageGanConfig
from synthgen.errors import TrainingError
from synthgen.gan.augment import Policy, augment
from synthgen.gan.batches import Batches
from synthgen.gan.checkpoint import load_checkpoint, save_checkpoint
from synthgen.gan.losses import LOSSES, squared_gradient_norms
from synthgen.gan.networks import Discriminator, Generator, NetworkSpec
from synthgen.progress import Tick, report

logger = logging.getLogger(__name__)
