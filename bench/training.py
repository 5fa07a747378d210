"""How fast the optimisers and the layer of chapter 3 are beside torch's own and beside loops, in the same run.

    python bench/training.py [--rounds 7] [--quick]

Prints a table, writes it to bench/training.md, and ends with status 1 if a speed or a result is not as required. The
row of the import times whole processes that import torch and make the optimiser once.
"""

import os
import subprocess
import sys
from collections.abc import Callable

import torch
from mazelm.common.seeding import seeded
from mazelm.training.layers import cross_correlate, cross_correlate_loop
from mazelm.training.optim import SGD, Adam
from report import Row, run
from torch import Tensor, nn
from torch.nn import functional as F

Maker = Callable[[list[nn.Parameter]], Adam | SGD | torch.optim.Optimizer]
IMPORT_OURS = (
    "from mazelm.training.optim import Adam; import torch; Adam([torch.nn.Parameter(torch.ones(1))], learning_rate=1)"
)
IMPORT_THEIRS = "import torch; torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])"


def rows(quick: bool) -> list[Row]:
    torch.set_num_threads(1)
    return [*optimizer_rows(20 if quick else 500), *import_rows(), *layer_rows(32 if quick else 64)]


def optimizer_rows(n_steps: int) -> list[Row]:
    def row(name: str, ours: Maker, peer: str, theirs: Maker, required: float) -> Row:
        return Row(
            measure=f"{n_steps} steps of {name}, 25-64-64-4",
            ours=steps(ours, n_steps),
            peer=peer,
            theirs=steps(theirs, n_steps),
            required=required,
            tolerance=1e-6,
        )

    def adam(parameters: list[nn.Parameter]) -> Adam:
        return Adam(parameters, learning_rate=1e-3)

    def sgd(parameters: list[nn.Parameter]) -> SGD:
        return SGD(parameters, learning_rate=1e-3, momentum=0.9)

    return [
        row("Adam", adam, "torch.optim.Adam", lambda p: torch.optim.Adam(p, lr=1e-3), 3),
        row("Adam", adam, "torch.optim.Adam, fused", lambda p: torch.optim.Adam(p, lr=1e-3, fused=True), 1.2),
        row("SGD", sgd, "torch.optim.SGD", lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9), 1.5),
    ]


def steps(make: Maker, n_steps: int) -> Callable[[], object]:
    """A function that makes so many steps with a gradient that stays, and returns the weights."""
    with seeded(0):
        model = nn.Sequential(nn.Linear(25, 64), nn.Linear(64, 64), nn.Linear(64, 4))
    parameters = list(model.parameters())
    optimizer = make(parameters)
    F.mse_loss(model(torch.ones(8, 25)), torch.ones(8, 4)).backward()

    def go() -> Tensor:
        for _ in range(n_steps):
            optimizer.step()
        return torch.cat([parameter.detach().reshape(-1) for parameter in parameters])

    return go


def import_rows() -> list[Row]:
    def process(code: str) -> Callable[[], object]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return lambda: subprocess.run([sys.executable, "-c", code], env=environment, check=True).returncode

    return [
        Row(
            measure="import and make Adam",
            ours=process(IMPORT_OURS),
            peer="torch.optim.Adam",
            theirs=process(IMPORT_THEIRS),
            required=1.2,
        )
    ]


def layer_rows(size: int) -> list[Row]:
    rng = torch.Generator().manual_seed(0)

    def row(n: int, width: int, peer: str, theirs: Callable[..., Tensor], times: int, required: float | None) -> Row:
        images = torch.randn(n, n, size, size, generator=rng)
        kernels = torch.randn(n, n, width, width, generator=rng)

        def often(function: Callable[..., Tensor]) -> Callable[[], Tensor]:
            # Many times in a row: the first call after the loop over places pays for tidying up the loop's memory.
            return lambda: [function(images, kernels) for _ in range(times)][-1]

        return Row(
            measure=f"{times} cross-correlations, images {n}×{n}×{size}×{size}, kernels {n}×{n}×{width}×{width}",
            ours=often(cross_correlate),
            peer=peer,
            theirs=often(theirs),
            required=required,
            tolerance=1e-4,  # single precision, sums of up to 100 products
        )

    return [
        row(1, 3, "a double loop over places", cross_correlate_loop, 100, 100),  # as in the lesson
        row(4, 5, "a double loop over places", cross_correlate_loop, 20, None),
        row(4, 5, "torch's conv2d", F.conv2d, 20, None),
    ]


if __name__ == "__main__":
    sys.exit(run(__file__, "Training: speed beside the peers", rows, ["torch"]))
