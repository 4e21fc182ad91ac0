"""Again, after a pause, what may pass: a store that is down, a disk that is busy. Never what stays wrong."""

import errno
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")

_WAITS_S = (0.5, 2.0)
# A network file system that is busy or away for a moment.
_BUSY = frozenset({errno.EBUSY, errno.EAGAIN, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT})


def is_busy(error: Exception) -> bool:
    """Whether the file system asks for patience: not full, not forbidden, not absent."""
    return isinstance(error, OSError) and error.errno in _BUSY


def retried(call: Callable[[], T], *, passes: Callable[[Exception], bool], waits_s: Sequence[float] = _WAITS_S) -> T:
    """What `call` returns, called again after each wait while its error may pass."""
    for wait in waits_s:
        try:
            return call()
        except Exception as error:
            if not passes(error):
                raise
            logger.info("retry after_s=%g error=%s", wait, type(error).__name__)
            time.sleep(wait)
    return call()
