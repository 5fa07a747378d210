import torch
from mazelm.common.device import best_device


def test_a_gpu_is_taken_where_there_is_one_and_the_cpu_everywhere_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert best_device() == torch.device("cuda")
