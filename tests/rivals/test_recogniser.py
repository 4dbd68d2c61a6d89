"""What all four recognition rivals promise, on classes whose vectors lead linearly to their pictures."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from torch import nn

from llinet_lite.rivals import RECOGNITION
from llinet_lite.rivals.recogniser import Examples, Recogniser, descend, one_scale, width
from llinet_lite.training import NotFiniteError

SEEN, UNSEEN, EACH, SEMANTICS, FEATURES = 24, 16, 10, 8, 24
EPOCHS = 60
RIVALS = list(RECOGNITION)


@pytest.fixture(scope="module")
def world():
    """Pictures of seen and unseen classes (all features >= 0), and the vectors of both."""
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(SEEN + UNSEEN, SEMANTICS, generator=random)
    vectors = nn.functional.normalize(vectors + 1.0, dim=1)  # sounds of all classes have much in common
    link = torch.randn(SEMANTICS, FEATURES, generator=random)
    labels = torch.arange(SEEN + UNSEEN).repeat_interleave(EACH)
    noise = 0.2 * torch.randn(len(labels), FEATURES, generator=random)
    images, seen = torch.relu(2 + vectors[labels] @ link + noise), labels < SEEN
    return {
        "learn": (images[seen], labels[seen], vectors[:SEEN]),
        "unseen": vectors[SEEN:],
        "test": (images[~seen], labels[~seen] - SEEN),
    }


def trained(name: str, world: dict, *, epochs: int = EPOCHS, seed: int = 0, **options) -> Recogniser:
    rival = RECOGNITION[name](features=FEATURES, semantics=SEMANTICS, **options)
    return rival.learn(*world["learn"], unseen=world["unseen"], epochs=epochs, seed=seed)


def accuracy(rival: Recogniser, world: dict) -> float:
    images, labels = world["test"]
    return (rival.scores(images, world["unseen"]).argmax(1) == labels).double().mean().item()


@pytest.fixture(scope="module", params=RIVALS)
def pair(request, world):
    return request.param, trained(request.param, world)


def test_the_four_in_the_order_of_the_table():
    assert RIVALS == ["DCN", "LDE", "RelationNet", "SAE"]
    assert [rival.needs_unseen for rival in RECOGNITION.values()] == [True, False, False, False]
    for rival in RECOGNITION.values():
        assert 3 <= len(rival.grid) <= 6
        defaults = inspect.signature(rival.__init__).parameters
        for options in rival.grid:
            rival(features=FEATURES, semantics=SEMANTICS, **options)
        for name, value in rival.grid[0].items():
            assert defaults[name].default == value


def test_unseen_classes_are_recognised_and_not_by_chance(pair, world):
    name, rival = pair
    assert accuracy(rival, world) > 5 / UNSEEN
    images, labels, classes = world["learn"]
    unlinked = dict(world, learn=(images, labels, classes.roll(1, 0)))
    found = [accuracy(trained(name, unlinked, epochs=EPOCHS // 2, seed=seed), unlinked) for seed in range(2)]
    assert sum(found) / len(found) < 2 / UNSEEN


def test_the_same_seed_gives_the_same(pair, world):
    name, _rival = pair
    images, _labels = world["test"]
    first = trained(name, world, epochs=2, seed=3)
    wanted = first.scores(images, world["unseen"])
    again = first.learn(*world["learn"], unseen=world["unseen"], epochs=2, seed=3)
    torch.rand(7)
    assert torch.equal(again.scores(images, world["unseen"]), wanted)  # what was learned before is forgotten
    other = trained(name, world, epochs=2, seed=4).scores(images, world["unseen"])
    assert torch.equal(other, wanted) == (name == "SAE")


def test_learning_leaves_the_global_generator_alone(pair, world):
    name, _rival = pair
    fresh = RECOGNITION[name](features=FEATURES, semantics=SEMANTICS)
    before = torch.get_rng_state()
    fresh.learn(*world["learn"], unseen=world["unseen"], epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not fresh.training


def test_scores_have_no_noise_and_know_no_order(pair, world):
    _name, rival = pair
    images, _labels = world["test"]
    wanted = rival.scores(images, world["unseen"])
    assert wanted.shape == (len(images), UNSEEN) and not wanted.requires_grad
    assert torch.equal(rival.train().scores(images, world["unseen"]), wanted)
    rival.eval()
    rows, columns = torch.randperm(len(images)), torch.randperm(UNSEEN)
    got = rival.scores(images[rows], 3 * world["unseen"][columns])  # lengths of class vectors say nothing
    torch.testing.assert_close(got, wanted[rows][:, columns], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rival.scores(images[:1], world["unseen"]), wanted[:1], rtol=1e-4, atol=1e-5)


def test_a_state_brings_everything_along(pair, world):
    name, rival = pair
    images, _labels = world["test"]
    fresh = RECOGNITION[name](features=FEATURES, semantics=SEMANTICS)
    with pytest.raises(RuntimeError, match="call learn first"):
        fresh.scores(images, world["unseen"])
    fresh.load_state_dict(rival.state_dict())
    assert torch.equal(fresh.scores(images, world["unseen"]), rival.scores(images, world["unseen"]))


def test_embeddings_where_pictures_are_moved(pair, world):
    name, rival = pair
    embedded = rival.embed(world["test"][0])
    if name in ("DCN", "SAE"):
        assert embedded.shape == (UNSEEN * EACH, SEMANTICS) and embedded.isfinite().all()
    else:
        assert embedded is None


@pytest.mark.parametrize("name", RIVALS)
def test_what_is_refused(name, world):
    images, labels, classes = world["learn"]
    rival, unseen = RECOGNITION[name](features=FEATURES, semantics=SEMANTICS), world["unseen"]
    zero, broken = classes.clone(), images.clone()
    zero[3], broken[0, 0] = 0, math.nan
    wrong = {
        "images must be": (images[:, 1:], labels, classes),
        "classes must be": (images, labels, classes[:, 1:]),
        "not finite": (broken, labels, classes),
        "vector of zeros": (images, labels, zero),
        "labels must be 240 integers": (images, labels[1:], classes),
        "0 to 22, not 0 to 23": (images, labels, classes[:-1]),
        "not -1 to 22": (images, labels - 1, classes),
    }
    for message, given in wrong.items():
        with pytest.raises(ValueError, match=message):
            rival.learn(*given, unseen=unseen, epochs=1)
    with pytest.raises(ValueError, match="epochs"):
        rival.learn(images, labels, classes, unseen=unseen, epochs=0)
    with pytest.raises(ValueError, match="the labels of sounds"):
        rival.learn(images, labels, classes, unseen=unseen, sounds=(classes, labels), epochs=1)
    with pytest.raises(ValueError, match="features"):
        RECOGNITION[name](features=0, semantics=SEMANTICS)
    if rival.needs_unseen:
        with pytest.raises(ValueError, match="give learn `unseen`"):
            rival.learn(images, labels, classes, epochs=1)


def test_an_epoch_takes_every_example_once_in_parts_of_the_same_size(capsys):
    model = nn.Linear(1, 1)
    sgd, taken, rates = torch.optim.SGD(model.parameters(), 0.5), [], []

    def loss(chosen):
        taken.append(chosen)
        rates.append(sgd.param_groups[0]["lr"])
        return 0 * model.weight.sum()

    descend(model, sgd, loss, 10, batch=4, epochs=2, decay=lambda step, steps: 1 - step / steps, quiet=False)
    assert [len(chosen) for chosen in taken] == [4, 3, 3, 4, 3, 3]
    for epoch in (taken[:3], taken[3:]):
        assert torch.equal(torch.cat(epoch).sort().values, torch.arange(10))
    assert rates == pytest.approx([0.5 * (1 - step / 6) for step in range(6)])
    assert "6 steps" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_is_reported():
    model = nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), 0.5)
    with pytest.raises(NotFiniteError, match="lower its rate"):
        descend(model, sgd, lambda chosen: model.weight.sum() / 0.0, 4, batch=4, epochs=1)


def test_scales_and_widths():
    assert one_scale(torch.tensor([[3.0, 4.0], [0.0, 5.0]])).item() == pytest.approx(math.sqrt(12.5))
    assert one_scale(torch.zeros(2, 2)) == 1
    assert (width(1024, 2048), width(1600, 128)) == (1024, 256)


def test_the_base_alone_learns_nothing(world):
    with pytest.raises(NotImplementedError):
        Recogniser(features=FEATURES, semantics=SEMANTICS).learn(*world["learn"], epochs=1)
    assert Examples(*world["learn"], None, None).unseen is None
