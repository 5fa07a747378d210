"""Draw weights from a seed, and leave torch's own generator as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch's own generator start from this seed inside the block, and put it back afterwards.

    Layers draw their weights from that generator and take no other, so this is how a model is made reproducibly without
    a change to what the code around it draws.

    Args:
        seed: Any integer that fits into 64 bits.
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
