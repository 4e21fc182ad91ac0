"""What may pass is tried again; what stays wrong is not."""

import errno

import pytest

from synthgen.retrying import is_busy, retried


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (OSError(errno.EBUSY, "busy"), 3),
        (OSError(errno.ESTALE, "stale file handle"), 3),
        (OSError(errno.ENOSPC, "no space left"), 1),
        (OSError(errno.ENOENT, "absent"), 1),
        (ValueError("bad data"), 1),
    ],
)
def test_only_a_busy_file_system_is_tried_again(error: Exception, tries: int) -> None:
    seen = []

    def failing() -> None:
        seen.append(1)
        raise error

    with pytest.raises(type(error)):
        retried(failing, passes=is_busy, waits_s=(0, 0))
    assert len(seen) == tries


def test_the_result_of_a_later_try_is_returned() -> None:
    errors = [OSError(errno.EAGAIN, "again")]

    def once() -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert retried(once, passes=is_busy, waits_s=(0,)) == "there"
