"""What all rivals keep: interface, shapes, refusals, gradients finite and those of finite differences."""

import inspect
import math

import pytest
import torch
from torch import nn

from llinet_lite.rivals import MODERN, RECOGNITION, RETRIEVAL, Rival
from llinet_lite.rivals.base import Examples, descend, one_scale

SMALL = {"features": 16, "classes": 5, "width": 4, "size": 64}
LAPTOP = {"features": 128, "classes": 24, "width": 8, "size": 256}
LABELS = torch.tensor([0, 1, 2, 3, 0, 4, 1, 2])


def build(name: str, sizes: dict = SMALL, **options) -> Rival:
    torch.manual_seed(0)
    teacher = {"teacher_classes": 7} if name == "DAR" else {}
    return (RETRIEVAL | MODERN)[name](**sizes, **teacher, **options)


def pairs(count: int = 8, features: int = 16, *, frames: int = 40, cells: int = 3, progress: float = 0.0):
    """Inputs and batch of `count` pairs; those of a class are alike."""
    random, labels = torch.Generator().manual_seed(1), LABELS[:count]
    maps = torch.randn(8, features, cells, cells, generator=random).relu()[labels]
    maps = maps + 0.2 * torch.rand(count, features, cells, cells, generator=random)
    teacher = torch.randn(count, 7, generator=random).softmax(1)
    logmel = 2 * torch.randn(8, frames, 40, generator=random)[labels] - 6
    logmel = logmel + 0.2 * torch.randn(count, frames, 40, generator=random)
    image = {"map": maps, "pooled": maps.mean((2, 3)), "teacher": teacher}
    return (image, logmel), {"label": labels, "progress": progress}


@pytest.fixture(params=RETRIEVAL | MODERN)
def name(request) -> str:
    return request.param


# ---- retrieval


def test_the_table_has_its_eight_rows_in_order():
    assert list(RETRIEVAL) == ["DAR", "ULSLVC", "SIR", "SCAN", "DSCMR", "TIMAM", "CMPM", "CME"]
    for title, rival in RETRIEVAL.items():
        assert rival.title == rival.__name__ == title and set(rival.needs) <= {"pooled", "map", "teacher"}


def test_shapes_and_scores(name):
    rival, (inputs, _) = build(name, LAPTOP).eval(), pairs(5, 128, frames=101, cells=7)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = rival.scores(rival.embed_image(inputs[0]), rival.embed_audio(inputs[1]))
    assert half.dtype == torch.float32
    with torch.no_grad():
        image = rival.embed_image({need: inputs[0][need] for need in rival.needs})
        audio = rival.embed_audio(inputs[1][:3])
        scores, part = rival.scores(image, audio), rival.scores(image[1:3], audio[2:])
    assert len(image) == 5 and len(audio) == 3 and image.shape[-1] == audio.shape[-1] == rival.size
    assert image.ndim == audio.ndim == (3 if name == "SCAN" else 2)
    assert scores.shape == (5, 3) and scores.dtype == torch.float32 and scores.std() > 0
    assert scores.abs().max() <= 1 + 1e-5
    torch.testing.assert_close(part, scores[1:3, 2:])


@pytest.mark.parametrize("case", ["usual", "two", "one class", "identical", "nothing seen", "silence"])
def test_loss_and_every_gradient_are_finite(name, case):
    rival, ((image, logmel), batch) = build(name), pairs(2 if case == "two" else 4)
    if case == "one class":
        batch["label"] = torch.zeros_like(batch["label"])
    if case == "identical":
        image = {need: value[:1].expand_as(value) for need, value in image.items()}
        logmel = logmel[:1].expand_as(logmel)
    if case == "nothing seen":
        image |= {need: torch.zeros_like(image[need]) for need in ("map", "pooled")}
    if case == "silence":
        logmel = torch.full_like(logmel, math.log(1e-6))
    for progress in (0.0, 0.9):
        loss, parts = rival.loss((image, logmel), batch | {"progress": progress})
        assert loss.shape == () and loss.dtype == torch.float32
        assert torch.isfinite(torch.stack([loss, *parts.values()])).all()
        assert not any(value.requires_grad for value in parts.values())
        rival.zero_grad()
        loss.backward()
        for weight_name, weight in rival.named_parameters():
            assert weight.grad is not None and torch.isfinite(weight.grad).all(), weight_name


def test_gradients_are_those_of_finite_differences(name):
    rival, (inputs, batch) = build(name).double().eval(), pairs(4, progress=0.9)
    inputs = {need: value.double() for need, value in inputs[0].items()}, inputs[1].double()
    judge = name == "TIMAM"  # its encoders get a reversed gradient
    weights = list((rival.discriminator if judge else rival).parameters())
    torch.manual_seed(1)
    direction = [torch.randn_like(weight) for weight in weights]

    def loss(step: float) -> torch.Tensor:
        with torch.no_grad():
            for weight, way in zip(weights, direction, strict=True):
                weight += step * way
        torch.manual_seed(0)  # the same partners every time
        return rival.loss(inputs, batch)[0]

    gradient = torch.autograd.grad(loss(0.0), weights)
    slope = sum((g * way).sum() for g, way in zip(gradient, direction, strict=True)).item()
    forth, back = loss(1e-6).item(), loss(-2e-6).item()
    assert slope == pytest.approx((forth - back) / 2e-6, rel=1e-4) and slope


def test_published_optimizer_and_one_batch_is_learned(name):
    rival, (inputs, batch) = build(name), pairs()
    weights = list(rival.parameters())
    optimizer = rival.optimizer(3.0)(weights)
    held = [weight for group in optimizer.param_groups for weight in group["params"]]
    assert len(held) == len(weights) and {*map(id, held)} == {*map(id, weights)}
    rates = {"DSCMR": 1e-4, "CME": 1e-4, "DAR": 1e-4, "ULSLVC": 1e-3} | dict.fromkeys(MODERN, 5e-4)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3 * rates.get(name, 2e-4))
    decay = {"ULSLVC": 5e-7, "CMPM": 4e-5, "CME": 1e-8}.get(name, 0.0)
    assert optimizer.defaults["weight_decay"] == decay and optimizer.defaults["fused"]
    assert rival.clip_norm == {"SCAN": 2.0, "CME": 1.0}.get(name)
    rate = 0.05 if name == "ULSLVC" else 2e-3  # plain gradient descent takes larger steps
    optimizer, losses = rival.optimizer(rate / rival.learning_rate)(weights), []
    for step in range(30):
        torch.manual_seed(0)  # the same partners in every step
        with torch.autocast("cpu", torch.bfloat16, enabled=not step):
            loss, _ = rival.loss(inputs, batch)
        assert loss.dtype == torch.float32
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_published_schedules():
    assert build("DAR").schedule(30) is None
    factors = [build("ULSLVC").schedule(100)(epoch) for epoch in (0, 39.9, 40, 79.9, 80)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert [build("SCAN").schedule(30)(epoch) for epoch in (0, 14.9, 15, 29)] == [1, 1, 0.1, 0.1]
    cycle = build("SIR").schedule(32)
    assert [cycle(epoch) for epoch in (0, 2, 4, 30, 32)] == pytest.approx([5e-3, 1, 5e-3, 1, 5e-3])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [("SCAN", {"attention": "both"}, "one of t-i, i-t"), ("CMPM", {"cmpc": -1.0}, "cmpc must be"),
     ("TIMAM", {"adversarial": -0.1}, "adversarial must"), ("SCAN", {"same_class": "distinct"}, "distinct"),
     ("DAR", {"teacher_classes": 5}, "teacher_classes"), ("DCN", {"l_ce": 0.0}, "l_ce"),
     ("DCN", {"weight": -1.0}, "weight"), ("LDE", {"lam": -1.0}, "lam"), ("SAE", {"lam": math.nan}, "lam"),
     ("RelationNet", {"penalty": -1.0}, "penalty"), ("SAE", {"direction": "both"}, "direction")],
)  # fmt: skip
def test_what_is_refused(name, options, said):
    with pytest.raises(ValueError, match=said):
        if name in RECOGNITION:
            RECOGNITION[name](features=4, semantics=3, **options)
        RETRIEVAL[name](**SMALL, **options).loss(*pairs())


# ---- recognition

SEEN, UNSEEN, EACH, SEMANTICS, FEATURES = 24, 16, 10, 8, 24


@pytest.fixture(scope="module")
def world():
    """Images of classes whose vectors lead linearly to them, all features >= 0; and the vectors."""
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(SEEN + UNSEEN, SEMANTICS, generator=random)
    vectors = nn.functional.normalize(vectors + 1.0, dim=1)  # sounds of all classes have much in common
    link = torch.randn(SEMANTICS, FEATURES, generator=random)
    labels = torch.arange(SEEN + UNSEEN).repeat_interleave(EACH)
    noise = 0.2 * torch.randn(len(labels), FEATURES, generator=random)
    images, seen = torch.relu(2 + vectors[labels] @ link + noise), labels < SEEN
    learn = (images[seen], labels[seen], vectors[:SEEN])
    return {"learn": learn, "unseen": vectors[SEEN:], "test": (images[~seen], labels[~seen] - SEEN)}


def trained(title: str, world: dict, *, epochs: int = 60, seed: int = 0, **options):
    rival = RECOGNITION[title](features=FEATURES, semantics=SEMANTICS, **options)
    return rival.learn(*world["learn"], unseen=world["unseen"], epochs=epochs, seed=seed)


def accuracy(rival, world: dict) -> float:
    images, labels = world["test"]
    return (rival.scores(images, world["unseen"]).argmax(1) == labels).double().mean().item()


def test_the_four_and_their_grids():
    assert list(RECOGNITION) == ["DCN", "LDE", "RelationNet", "SAE"]
    assert [rival.needs_unseen for rival in RECOGNITION.values()] == [True, False, False, False]
    for rival in RECOGNITION.values():
        defaults = inspect.signature(rival.__init__).parameters
        for options in rival.grid:
            rival(features=FEATURES, semantics=SEMANTICS, **options)
        assert all(defaults[name].default == value for name, value in rival.grid[0].items())


@pytest.mark.parametrize("title", RECOGNITION)
def test_unseen_classes_are_recognized_and_not_by_chance(title, world):
    assert accuracy(trained(title, world), world) > 5 / UNSEEN
    images, labels, classes = world["learn"]
    unlinked = dict(world, learn=(images, labels, classes.roll(1, 0)))
    found = [accuracy(trained(title, unlinked, epochs=30, seed=seed), unlinked) for seed in range(2)]
    assert sum(found) / 2 < 2 / UNSEEN


@pytest.mark.parametrize("title", RECOGNITION)
def test_a_seed_decides_and_the_global_generator_is_left_alone(title, world):
    images, _ = world["test"]
    first = RECOGNITION[title](features=FEATURES, semantics=SEMANTICS)
    before = torch.get_rng_state()
    first.learn(*world["learn"], unseen=world["unseen"], epochs=2, seed=3)
    assert torch.equal(torch.get_rng_state(), before) and not first.training
    wanted = first.scores(images, world["unseen"])
    torch.testing.assert_close(first.scores(images[:3], 7 * world["unseen"].flip(0)), wanted[:3].flip(1))
    again = first.learn(*world["learn"], unseen=world["unseen"], epochs=2, seed=3)
    assert torch.equal(again.scores(images, world["unseen"]), wanted)  # what was learned before is forgotten
    other = trained(title, world, epochs=2, seed=4).scores(images, world["unseen"])
    assert torch.equal(other, wanted) == (title == "SAE")
    copy = RECOGNITION[title](features=FEATURES, semantics=SEMANTICS)
    copy.load_state_dict(first.state_dict())
    assert torch.equal(copy.scores(images, world["unseen"]), wanted)


WRONG = {
    "epochs must be 1": {"epochs": 0},
    "images must be": {"images": torch.ones(4, 3)},
    "images hold numbers": {"images": torch.full((4, FEATURES), torch.nan)},
    "labels must be rows": {"labels": torch.tensor([0, 1, 2, 3])},
    "classes hold a vector of zeros": {"classes": torch.zeros(3, SEMANTICS)},
    "give learn `unseen`": {"unseen": None},
    "the labels of sounds": {"sounds": (torch.ones(2, SEMANTICS), torch.tensor([0, 3]))},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_a_recognizer_refuses(said):
    given = {"images": torch.ones(4, FEATURES), "labels": torch.tensor([0, 1, 2, 0])}
    given |= {"classes": torch.ones(3, SEMANTICS), "unseen": torch.ones(2, SEMANTICS)} | WRONG[said]
    dcn = RECOGNITION["DCN"](features=FEATURES, semantics=SEMANTICS)
    with pytest.raises(RuntimeError, match="knows nothing yet"):
        dcn.scores(torch.ones(4, FEATURES), torch.ones(3, SEMANTICS))
    with pytest.raises(ValueError, match=said):
        dcn.learn(**given)


def test_an_epoch_takes_every_example_once_in_parts_of_the_same_size():
    model = nn.Linear(1, 1)
    sgd, taken, rates = torch.optim.SGD(model.parameters(), 0.5), [], []
    examples = Examples(torch.ones(10, 1), torch.zeros(10), torch.ones(1, 1), None, None)

    def loss(chosen):
        taken.append(chosen)
        rates.append(sgd.param_groups[0]["lr"])
        return 0 * model.weight.sum()

    descend(sgd, loss, examples, batch=4, epochs=2, decay=lambda step, steps: 1 - step / steps)
    assert [len(chosen) for chosen in taken] == [4, 3, 3, 4, 3, 3]
    for epoch in (taken[:3], taken[3:]):
        assert torch.equal(torch.cat(epoch).sort().values, torch.arange(10))
    assert rates == pytest.approx([0.5 * (1 - step / 6) for step in range(6)])
    with pytest.raises(ArithmeticError, match="lower the rate"):
        descend(sgd, lambda chosen: model.weight.sum() / 0.0, examples, batch=4, epochs=1)

    assert one_scale(torch.tensor([[3.0, 4.0], [0.0, 5.0]])).item() == pytest.approx(math.sqrt(12.5))
    assert one_scale(torch.zeros(2, 2)) == 1
