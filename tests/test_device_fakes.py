"""The pretended GPU refuses what a real one refuses; else the tests that stand on it would find nothing."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from device_fakes import CUDA, Far, far, near, pretended_cuda
from torch import nn
from torch.nn import functional

from llinet_lite.features import standardise
from llinet_lite.training import choose_precision, fit, overfit_one_batch


@pytest.fixture
def waits():
    """A machine with a pretended GPU; what waited for it."""
    with pretended_cuda() as places:
        yield places


def test_tensors_know_where_they_are(waits):
    x = torch.zeros(3, device="cuda")
    assert isinstance(x, Far) and x.device == CUDA and x.is_cuda and (2 * x + 1).is_cuda
    assert x.cpu().device.type == "cpu" and not isinstance(x.cpu(), Far)
    for there in (
        torch.zeros_like(x),
        x.new_ones(2),
        torch.ones(2).to(x),
        torch.ones(2).cuda(),
        x[1:],
        x[:, None],
    ):
        assert there.is_cuda
    assert not torch.ones(2).is_cuda and not x.to("cpu").is_cuda and not torch.zeros(1).is_cuda
    assert torch.cuda.is_available()


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x, y: x + y,
        lambda x, y: torch.cat([x, y]),
        lambda x, y: functional.linear(x[None], y[None]),
        lambda x, y: torch.where(x > 0, x, y),
        lambda x, y: y[x.long()],
        lambda x, y: torch.searchsorted(x, y),
    ],
)
def test_mixtures_are_refused(waits, mixed):
    x, y = torch.zeros(3, device="cuda"), torch.ones(3)
    mixed(near(x), y), mixed(x, far(y))  # both on one side
    with pytest.raises(RuntimeError, match="same device"):
        mixed(x, y)


def test_what_cuda_allows_is_allowed(waits):
    x = torch.arange(3.0, device="cuda")
    assert (x * torch.tensor(2.0)).tolist() == [0, 2, 4]  # a number of the CPU
    assert x[torch.tensor([2, 0])].tolist() == [2, 0] and x[np.array([True, False, True])].tolist() == [0, 2]
    x.copy_(torch.ones(3))
    assert x.sum().item() == 3


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_numpy_is_refused_until_it_is_fetched(waits):
    x = torch.ones(3, device="cuda")
    for asked in (x.numpy, lambda: np.asarray(x), lambda: np.ones(3) * np.array(x)):
        with pytest.raises(TypeError, match="can't convert"):
            asked()
    assert x.cpu().numpy().tolist() == [1, 1, 1]


def test_a_network_moves_and_learns_as_on_the_cpu(waits):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    there = copy.deepcopy(plain).to("cuda")
    assert all(isinstance(w, nn.Parameter) and w.is_cuda for w in there.parameters())
    x = torch.randn(4, 1, 4, 4)
    with pytest.raises(RuntimeError, match="same device"):
        there(x)
    for model, batch in ((plain, x), (there, x.to("cuda"))):
        optimizer = torch.optim.Adam(model.parameters(), 0.1, fused=True)
        model(batch).square().sum().backward()
        optimizer.step()
    for (name, one), other in zip(plain.state_dict().items(), there.state_dict().values(), strict=True):
        assert torch.equal(one, other.cpu()), name
    file = io.BytesIO()
    torch.save(there.state_dict(), file)
    file.seek(0)
    assert not any(isinstance(v, Far) for v in torch.load(file, weights_only=True).values())
    assert copy.deepcopy(there)[0].weight.is_cuda and not there.to("cpu")[0].weight.is_cuda


def test_every_wait_is_noted(waits):
    """Each of these makes the CPU wait; the arithmetic between does not."""
    x = torch.arange(4.0, device="cuda")
    (x * 2 + x.sum()).relu()
    assert not waits
    for wait in (x[0].item, x.tolist, lambda: bool((x > 0).any()), lambda: x[x > 1], x.nonzero, x.cpu):
        before = len(waits)
        wait()
        assert len(waits) > before
    before = len(waits)
    torch.tensor([1.0], device="cuda"), x.new_tensor([1.0])  # numbers that are sent
    assert len(waits) == before + 2


def test_the_pretence_ends():
    with pretended_cuda():
        pass
    assert torch.cuda.is_available() == (torch.cuda.device_count() > 0)
    assert torch.zeros(2).device.type == "cpu" and not nn.Linear(1, 1).weight.is_cuda
    assert choose_precision("cpu") in ("bf16-mixed", "32-true")


# --------------------------------------------------------------------- the loop, on the pretended GPU


class Points:
    """Four batches of points, on either side of a line."""

    def epoch(self, epoch):
        rng = torch.Generator().manual_seed(epoch)
        x = torch.randn(4, 8, 6, generator=rng)
        return [{"x": part, "label": (part[:, 0] > 0).long(), "index": torch.arange(8)} for part in x]


def step(model, batch):
    return functional.cross_entropy(model(batch["x"]), batch["label"])


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))


@pytest.mark.parametrize("threads", [0, 2])
def test_the_loop_waits_once_an_epoch_and_has_the_numbers_of_the_cpu(tmp_path, threads):
    known = {"epochs": 2, "precision": "fp32", "quiet": True, "clip_norm": 1.0}
    want = fit(network(), step, Points(), **known, device="cpu")
    with pretended_cuda() as waits:
        model = network()
        first = fit(model, step, Points(), **known | {"epochs": 1}, threads=threads, run_dir=tmp_path)
        assert next(model.parameters()).is_cuda and first.epochs[0]["loss"] == want.epochs[0]["loss"]
        again = fit(network(), step, Points(), **known, threads=threads, run_dir=tmp_path)
        assert again.resumed_at == 4
        in_loop = [place for place in waits if place.startswith("loop.py")]
    assert [epoch["loss"] for epoch in again.epochs] == [epoch["loss"] for epoch in want.epochs]
    assert {place.split()[1] for place in in_loop} == {"flush:"} and len(in_loop) == 2 * (1 + 4)


def test_one_batch_is_learned_there(waits):
    batch = Points().epoch(0)[0]
    model = network().to("cuda")
    losses = overfit_one_batch(model, step, batch, steps=30, lr=0.1)
    assert losses[-1] < 0.5 * losses[0]
    assert sum("training.py" in place for place in waits) == 1, "one wait, at the end"


def test_pictures_are_standardised_as_by_torchvision_and_sent_once():
    from torchvision.transforms.v2.functional import normalize

    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    for image in (torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 4, dtype=torch.float64)):
        assert torch.equal(standardise(image, mean, deviation), normalize(image, mean, deviation))
    with pretended_cuda() as waits:
        image = torch.rand(2, 3, 4, 4).to("cuda")
        standardise(image, mean, deviation)
        sent = len(waits)
        standardise(image, mean, deviation)
        assert len(waits) == sent
    from llinet_lite.features.image import _colours

    _colours.cache_clear()  # what lies on a pretended GPU must not outlive it
