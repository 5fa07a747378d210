"""Where tensors are computed: chosen in one place."""

import torch


def best_device() -> torch.device:
    """A CUDA GPU if torch finds one, else the CPU, on which everything in the book runs."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
