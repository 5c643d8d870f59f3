import time

import torch
from torch import Tensor, nn

from nas.training.latency import REPETITIONS, WARM_UP, measure_latency


class Sleeps(nn.Module):
    """Takes at least 2 ms, and notes how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[tuple[int, ...], bool, bool]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append((tuple(images.shape), self.training, torch.is_grad_enabled()))
        time.sleep(0.002 if len(self.calls) > WARM_UP else 0.02)
        return images


def test_the_latency_of_what_takes_a_known_time() -> None:
    network = Sleeps().train()
    measured = measure_latency(network, (3, 8, 8), "cpu", batch=4)
    assert network.calls == [((4, 3, 8, 8), False, False)] * (WARM_UP + REPETITIONS)
    assert measured["latency_ms"] >= 2
    assert measured["latency_iqr_ms"] >= 0
    assert measured["latency_batch"] == 4
    assert measured["latency_dtype"] == "float32"
    assert measured["latency_threads"] == torch.get_num_threads()
    assert measured["latency_repetitions"] == REPETITIONS
    assert measured["latency_device"]
