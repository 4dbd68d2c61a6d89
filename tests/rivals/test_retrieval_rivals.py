"""What all eight retrieval rivals keep: interface, shapes, gradients, invariances, the training loop."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load, save

from llinet_lite.old_road import fit
from llinet_lite.rivals import RETRIEVAL
from llinet_lite.rivals.base import Rival

LAPTOP = {"features": 128, "classes": 24, "width": 16, "size": 256}
SMALL = {"features": 16, "classes": 5, "width": 4, "size": 64}
DRAWN = {"ULSLVC", "CME"}  # their partners are drawn anew in every step
LABELS = torch.tensor([0, 1, 2, 3, 0, 4, 1, 2])


@pytest.fixture(params=RETRIEVAL)
def name(request) -> str:
    return request.param


def build(name: str, **sizes) -> Rival:
    torch.manual_seed(0)
    return RETRIEVAL[name](**sizes)


def batch(count: int, features: int, *, frames: int = 101, cells: int = 7, seed: int = 1):
    """Trunk activations, as every rival may ask for them, and log-mels; pairs of a class are alike."""
    random = torch.Generator().manual_seed(seed)
    labels = LABELS[:count]
    maps = torch.randn(8, features, cells, cells, generator=random).relu()[labels]
    maps = maps + 0.2 * torch.rand(count, features, cells, cells, generator=random)
    teacher = torch.randn(count, 1000, generator=random).softmax(1)
    seen = {"map": maps, "pooled": maps.mean((2, 3)), "teacher": teacher}
    logmel = 2 * torch.randn(8, frames, 40, generator=random)[labels] - 6
    return seen, logmel + 0.2 * torch.randn(count, frames, 40, generator=random), labels


def double(seen, logmel, labels):
    return {name: value.double() for name, value in seen.items()}, logmel.double(), labels


def finite_gradients(rival: Rival, loss: torch.Tensor) -> None:
    rival.zero_grad()
    loss.backward()
    for name, weight in rival.named_parameters():
        assert weight.grad is not None, f"{name} is never used"
        assert torch.isfinite(weight.grad).all(), name


def test_the_table_has_its_eight_rows_in_order():
    assert list(RETRIEVAL) == ["DAR", "ULSLVC", "SIR", "SCAN", "DSCMR", "TIMAM", "CMPM", "CME"]
    for name, rival in RETRIEVAL.items():
        assert issubclass(rival, Rival) and rival.title == rival.__name__ == name
        assert set(rival.needs) <= {"pooled", "map", "teacher"}
        assert 0 < rival.learning_rate < 1 and (rival.clip_norm is None or rival.clip_norm > 0)


def test_shapes_and_scores_at_the_sizes_of_a_laptop(name):
    rival, (seen, logmel, _) = build(name, **LAPTOP).eval(), batch(5, 128)
    seen = {need: seen[need] for need in rival.needs}
    with torch.no_grad():
        image, audio = rival.embed_image(seen), rival.embed_audio(logmel[:3])
        scores = rival.scores(image, audio)
        part = rival.scores(image[1:3], audio[2:])
    assert len(image) == 5 and len(audio) == 3 and image.ndim == audio.ndim
    assert image.shape[-1] == audio.shape[-1] == rival.size
    assert image.ndim == (3 if name == "SCAN" else 2)
    assert scores.shape == (5, 3) and scores.dtype == torch.float32 and torch.isfinite(scores).all()
    assert scores.abs().max() <= 1 + 1e-5 and scores.std() > 0
    torch.testing.assert_close(part, scores[1:3, 2:])


def test_loss_and_every_gradient_are_finite_at_the_sizes_of_a_laptop(name):
    rival, (seen, logmel, labels) = build(name, **LAPTOP), batch(8, 128)
    seen = {need: seen[need] for need in rival.needs}
    for progress in (0.0, 0.9):
        loss, parts = rival.loss(seen, logmel, labels, progress=progress)
        assert loss.shape == () and loss.dtype == torch.float32 and loss > 0
        finite_gradients(rival, loss)
        for part, value in parts.items():
            assert value.shape == () and not value.requires_grad and torch.isfinite(value), part


@pytest.mark.parametrize("case", ["two", "one class", "identical", "nothing seen", "silence"])
def test_odd_batches_stay_finite(name, case):
    count = 2 if case == "two" else 4
    rival, (seen, logmel, labels) = build(name, **SMALL), batch(count, 16, frames=40, cells=3)
    if case == "one class":
        labels = torch.zeros_like(labels)
    if case == "identical":
        seen = {need: value[:1].expand_as(value) for need, value in seen.items()}
        logmel = logmel[:1].expand_as(logmel)
    if case == "nothing seen":
        seen |= {need: torch.zeros_like(seen[need]) for need in ("map", "pooled")}
    if case == "silence":
        logmel = torch.full_like(logmel, math.log(1e-6))
    for progress in (0.0, 0.9):
        loss, parts = rival.loss(seen, logmel, labels, progress=progress)
        assert torch.isfinite(torch.stack([loss, *parts.values()])).all()
        finite_gradients(rival, loss)


def test_the_order_of_the_batch_does_not_matter(name):
    rival, given = build(name, **SMALL).double().eval(), double(*batch(8, 16, frames=40, cells=3))
    order = torch.tensor([5, 0, 7, 2, 4, 1, 6, 3])
    moved = {need: value[order] for need, value in given[0].items()}, given[1][order], given[2][order]
    if name not in DRAWN:
        for progress in (0.0, 0.9):
            torch.testing.assert_close(rival.loss(*given, progress)[0], rival.loss(*moved, progress)[0])
        return
    with torch.no_grad():
        image, audio = rival.embed_image(given[0]), rival.embed_audio(given[1])
        rival.embed_image = rival.embed_audio = lambda embedded: embedded  # once is enough
        drawn = [
            torch.stack([rival.loss(*pairs, given[2][rows])[0] for _ in range(600)])
            for rows in (torch.arange(8), order)
            for pairs in [(image[rows], audio[rows])]
        ]
    error = math.hypot(*(values.std().item() / 600**0.5 for values in drawn))
    assert error > 0 and abs(drawn[0].mean() - drawn[1].mean()) < 4 * error


def test_weights_come_back_from_a_file_without_pickle(name):
    rival, (seen, logmel, _) = build(name, **SMALL), batch(4, 16, frames=40, cells=3)
    rival.loss(seen, logmel, LABELS[:4])  # moves the running means, which must come along
    stored = save({key: value.contiguous() for key, value in rival.state_dict().items()})
    torch.manual_seed(9)
    other = RETRIEVAL[name](**SMALL)
    other.load_state_dict(load(stored))
    with torch.no_grad():
        for way, given in (("embed_image", seen), ("embed_audio", logmel)):
            assert torch.equal(getattr(rival.eval(), way)(given), getattr(other.eval(), way)(given))


def test_the_optimizer_has_every_weight_once_and_the_published_rate(name):
    rival = build(name, **SMALL)
    weights = list(rival.parameters())
    for rate in (1.0, 3.0):
        optimizer = rival.optimizer(rate)(weights)
        held = [weight for group in optimizer.param_groups for weight in group["params"]]
        assert len(held) == len(weights) and {*map(id, held)} == {*map(id, weights)}
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate * rival.learning_rate)
        assert optimizer.defaults["fused"]
    schedule = rival.schedule(30)
    if schedule is not None:
        factors = [schedule(epoch / 4) for epoch in range(120)]
        assert all(0 < factor <= 1 + 1e-9 for factor in factors) and len(set(factors)) > 1


def test_loss_is_float32_and_finite_under_autocast(name):
    rival, given = build(name, **SMALL), batch(8, 16, frames=40, cells=3)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = rival.loss(*given, progress=0.9)
        with torch.no_grad():
            scores = rival.scores(rival.embed_image(given[0]), rival.embed_audio(given[1]))
    assert loss.dtype == scores.dtype == torch.float32
    finite_gradients(rival, loss)


def test_one_batch_is_learned(name):
    rival, (seen, logmel, labels) = build(name, **SMALL), batch(8, 16, frames=40, cells=3)
    rate = 0.05 if name == "ULSLVC" else 2e-3  # plain gradient descent takes larger steps
    optimizer, losses = rival.optimizer(rate / rival.learning_rate)(list(rival.parameters())), []
    for _ in range(30):
        torch.manual_seed(0)  # the same partners in every step
        loss, _ = rival.loss(seen, logmel, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


class Batches:
    """Two batches in every epoch."""

    def epoch(self, number: int) -> list[dict]:
        given = [batch(8, 16, frames=40, cells=3, seed=seed) for seed in (1, 2)]
        return [{**seen, "logmel": logmel, "labels": labels} for seen, logmel, labels in given]


def test_the_training_loop_takes_it(name):
    def step(rival, given):
        return rival.loss(given, given["logmel"], given["labels"], progress=0.5)

    rival = build(name, **SMALL)
    before = {key: value.clone() for key, value in rival.named_parameters()}
    history = fit(
        rival, step, Batches(), epochs=1, optimizer=rival.optimizer(), schedule=rival.schedule(10),
        clip_norm=rival.clip_norm, precision="fp32", device="cpu", quiet=True,
    )  # fmt: skip
    assert math.isfinite(history.epochs[0]["loss"]) and history.epochs[0]["bad_steps"] == 0
    moved = [key for key, value in rival.named_parameters() if not torch.equal(value, before[key])]
    assert len(moved) > 0.8 * len(before)
