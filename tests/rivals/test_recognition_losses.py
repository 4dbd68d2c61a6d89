"""The losses, scores and standardizations of the four recognition rivals against plain loops."""

import math

import pytest
import scipy.linalg
import torch
from torch.autograd import gradcheck

from llinet_lite.rivals.dcn import DCN, dcn_loss
from llinet_lite.rivals.lde import LDE, lde_loss
from llinet_lite.rivals.relation import RelationNet, relation_loss
from llinet_lite.rivals.sae import RIDGE, SAE, sae_matrix

LABELS = torch.tensor([0, 1, 0, 2, 1])


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def ready(rival):
    """A recognizer with fresh weights, in float64, that takes questions."""
    torch.manual_seed(0)
    rival.double().start()
    rival.learned.fill_(True)
    return rival


def layer(linear, x: list) -> list:
    weight, bias = linear.weight.tolist(), linear.bias.tolist()
    return [b + sum(p * q for p, q in zip(row, x, strict=True)) for row, b in zip(weight, bias, strict=True)]


def softmax(row: list) -> list:
    total = sum(map(math.exp, row))
    return [math.exp(value) / total for value in row]


# ---- DCN


def test_dcn_loss_is_a_loop():
    f, g = 3 * draws(5, 3), 3 * draws(5, 4, seed=1)
    total = 0.0
    for i, y in enumerate(LABELS.tolist()):
        total -= math.log(softmax([0.7 * value for value in f[i].tolist()])[y])
        total -= 2.5 * sum(q * math.log(q) for q in softmax([0.3 * value for value in g[i].tolist()]))
    got = dcn_loss(f, LABELS, g, l_ce=0.7, l_e=0.3, weight=2.5)
    assert got.item() == pytest.approx(total / 5, rel=1e-12)
    sides = f.requires_grad_(), g.requires_grad_()
    assert gradcheck(lambda f, g: dcn_loss(f, LABELS, g, l_e=0.5), sides)
    decided = 1e4 * torch.eye(8)[:5]  # the entropy is minimized
    assert dcn_loss(torch.zeros(5, 3), LABELS, decided, l_e=1.0).item() == pytest.approx(math.log(3))
    assert dcn_loss(f, LABELS, None, weight=0.0) == dcn_loss(f, LABELS, g, weight=0.0)
    assert not DCN(features=4, semantics=3, weight=0.0).needs_unseen


def test_dcn_standardizes_as_published():
    images = draws(7, 4, seed=2).float() * torch.tensor([1.0, 5, 0.1, 1]) + 3
    images[:, 3] = 0.1  # its mean rounds: the deviation is not exactly 0
    dcn = DCN(features=4, semantics=3)
    dcn.measure(images)
    wanted = torch.zeros(7, 4).double()
    for column in range(3):
        values = images[:, column].tolist()
        mean = sum(values) / 7
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 7)
        wanted[:, column] = torch.tensor([(value - mean) / deviation for value in values])
    wanted /= wanted.abs().max()
    torch.testing.assert_close(dcn.standardized(images).double(), wanted, rtol=1e-5, atol=1e-6)
    other = images[:1].clone()
    other[0, 3] = 9.0  # a feature that never varied in training says nothing in tests
    assert torch.equal(dcn.standardized(other), dcn.standardized(images[:1]))


def test_dcn_scores_are_loops_and_dropout_is_there_in_training_alone():
    dcn, images, classes = ready(DCN(features=4, semantics=3)), draws(2, 4), draws(4, 3, seed=3)
    got = dcn.scores(images, classes)
    for i, x in enumerate(images.tolist()):
        hidden = [max(0.0, value) for value in layer(dcn.first, x)]
        phi = [math.tanh(value) for value in layer(dcn.second, hidden)]
        for c, s in enumerate(classes.tolist()):
            wanted = sum(p * 10 * math.tanh(q / math.hypot(*s)) for p, q in zip(phi, s, strict=True))
            assert got[i, c].item() == pytest.approx(wanted, rel=1e-10)
    assert torch.equal(dcn.train().phi(images), dcn.eval().phi(images))
    assert not torch.equal(dcn.phi(images, drop=True), dcn.phi(images))


@pytest.mark.parametrize("features", [2048, 128])
def test_sizes_and_first_weights(features):
    dcn, lde = DCN(features=features, semantics=64), LDE(features=features, semantics=16)
    net = RelationNet(features=features, semantics=16)
    dcn.start(), lde.start()
    hidden, wider, relation = (1024, 1600, 400) if features == 2048 else (256, 256, 256)
    assert dcn.first.weight.shape == (hidden, features) and lde.second.weight.shape == (features, wider)
    assert dcn.first.weight.std().item() == pytest.approx(0.01 * math.sqrt(2048 / features), rel=0.05)
    assert dcn.second.weight.std().item() == pytest.approx(0.03 * math.sqrt(1024 / hidden), rel=0.05)
    # a normal cut off at two deviations has 0.774 of the variance
    assert lde.second.weight.std().item() == pytest.approx(0.1 * math.sqrt(0.774), rel=0.02)
    assert lde.second.weight.abs().max() <= 0.2 and (lde.first.bias == 0.1).all()
    assert net.g[0].weight.shape == (hidden, 16) and net.first.weight.shape == (relation, 2 * features)


# ---- LDE


def test_lde_loss_is_a_loop():
    g, x, weights = draws(5, 4), draws(5, 4, seed=1), [draws(3, 2, seed=2), draws(3, seed=3)]
    error = sum((a - b) ** 2 for a, b in zip(g.flatten().tolist(), x.flatten().tolist(), strict=True)) / 20
    penalty = sum(value**2 for weight in weights for value in weight.flatten().tolist()) / 2
    assert lde_loss(g, x, weights, 0.3).item() == pytest.approx(error + 0.3 * penalty, rel=1e-12)
    assert gradcheck(lambda g, w: lde_loss(g, x, [w], 0.1), (g.requires_grad_(), weights[0].requires_grad_()))
    with pytest.raises(ValueError, match=r"\(2, 4\) and \(1, 4\)"):
        lde_loss(torch.ones(2, 4), torch.ones(1, 4))


def test_lde_scores_are_loops():
    lde, images, classes = ready(LDE(features=6, semantics=4)), draws(2, 6).abs(), draws(3, 4, seed=1)
    got = lde.scores(images, classes)
    for c, s in enumerate(classes.tolist()):
        g = [value / math.hypot(*s) for value in s]
        for linear in (lde.first, lde.second):
            g = [max(0.0, value) for value in layer(linear, g)]
        for i, x in enumerate(images.tolist()):
            wanted = -sum((p - q) ** 2 for p, q in zip(x, g, strict=True))
            assert got[i, c].item() == pytest.approx(wanted, rel=1e-9)


def test_lde_reads_clips_where_asked():
    images, labels, classes = draws(6, 4).abs().float(), torch.arange(3).repeat(2), draws(3, 5).float()
    sounds = draws(9, 5, seed=4).float(), torch.arange(3).repeat(3)

    def learned(on, given):
        lde = LDE(features=4, semantics=5, sounds=on)
        return lde.learn(images, labels, classes, sounds=given, epochs=2).scores(images, classes)

    assert torch.equal(learned(False, sounds), learned(False, None))
    assert not torch.equal(learned(True, sounds), learned(False, sounds))
    with pytest.raises(ValueError, match="give learn `sounds`"):
        learned(True, None)
    with pytest.raises(ValueError, match="no clip of 1 of the classes"):
        learned(True, (sounds[0], sounds[1].clamp(max=1)))
    with pytest.raises(ValueError, match="negative features"):
        LDE(features=4, semantics=5).learn(images - 1, labels, classes)


# ---- Relation Net


def test_relation_loss_is_a_loop():
    r = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)).double()
    rows = enumerate(r.tolist())
    total = sum((value - (LABELS[i] == c).item()) ** 2 for i, row in rows for c, value in enumerate(row))
    assert relation_loss(r, LABELS).item() == pytest.approx(total / 15, rel=1e-12)
    assert relation_loss(torch.full((5, 3), 1 / 3), LABELS).item() == pytest.approx(2 / 9)
    assert gradcheck(lambda r: relation_loss(r, LABELS), (r.requires_grad_(),))


def test_relations_are_those_of_pairs_written_out():
    net, images, classes = RelationNet(features=6, semantics=4).double(), draws(3, 6), draws(2, 4, seed=1)
    net.middle[:] = draws(4, seed=2)
    net.scale.fill_(0.5)
    got = net.compare(images, classes)
    assert got.shape == (3, 2)
    for i in range(3):
        for c in range(2):
            g = net.g((classes[c] - net.middle) / 0.5)
            wanted = torch.sigmoid(net.second(torch.relu(net.first(torch.cat([g, images[i]])))))
            torch.testing.assert_close(got[i, c], wanted[0])


def test_relation_net_standardizes_and_begins_where_many_classes_share(monkeypatch):
    images, classes = draws(20, 6).abs().float(), 3 + draws(20, 3, seed=1).float()
    net = RelationNet(features=6, semantics=3).learn(images, torch.arange(20), classes, epochs=1)
    standard = (classes / classes.norm(dim=1, keepdim=True) - net.middle) / net.scale
    assert standard.mean(0).abs().max() < 1e-5
    assert standard.square().mean().item() == pytest.approx(1.0, rel=1e-4)
    for ours, wanted in ((True, 1 / 20), (False, 1 / 2)):
        still = RelationNet(features=6, semantics=3, prior=ours, standard=ours, rate=1e-9)
        found = still.learn(images, torch.arange(20), classes, epochs=1).scores(images, classes)
        assert found.mean().item() == pytest.approx(wanted, rel=0.3)
        assert bool(still.middle.any()) == ours
    widths, compare = [], net.compare
    monkeypatch.setattr(net, "compare", lambda x, s: widths.append(len(s)) or compare(x, s))
    net.learn(images[:4], torch.tensor([4, 1, 1, 4]), classes, epochs=2)
    assert widths == [2, 2]  # the classes present in the batch


# ---- SAE


def problem(count: int = 40, features: int = 9, size: int = 6, classes: int = 4):
    """Images (N, d) with one dead feature, and of each the vector (N, k) of one of few classes."""
    vectors = torch.nn.functional.normalize(draws(classes, size), dim=1)
    images = draws(count, features, seed=1)
    images[:, -1] = 0
    return images, vectors[torch.arange(count) % classes]


@pytest.mark.parametrize("lam", [0.01, 0.2, 5.0, 5e5])
def test_sae_is_the_minimum_and_what_a_general_solver_finds(lam):
    images, classes = problem(size=4, classes=8)  # of full rank, so that both solvers are exact
    x, s = images[:, :-1].T.numpy(), classes.T.numpy()
    a = s @ s.T + RIDGE * torch.eye(4).double().numpy()
    wanted = torch.from_numpy(scipy.linalg.solve_sylvester(a, lam * x @ x.T, (1 + lam) * s @ x.T))
    torch.testing.assert_close(sae_matrix(images[:, :-1], classes, lam), wanted, rtol=1e-8, atol=1e-10)

    images, classes = problem()  # classes are few, and a feature is dead

    def loss(w):
        decoded, encoded = images - classes @ w, images @ w.T - classes
        return decoded.square().sum() + lam * encoded.square().sum() + RIDGE * w.square().sum()

    w = sae_matrix(images, classes, lam).requires_grad_()
    zero = torch.zeros_like(w).requires_grad_()
    gradient, at_zero = (torch.autograd.grad(loss(at), at)[0] for at in (w, zero))
    assert gradient.abs().max() < 1e-9 * at_zero.abs().max()
    assert w.detach()[:, -1].abs().max() < 1e-9  # nothing is made up for the dead feature


@pytest.mark.parametrize("direction", ["V->S", "S->V"])
def test_sae_scores_are_loops(direction):
    images, vectors = problem(12, 5, 3)
    labels, classes = torch.arange(12) % 4, 7 * vectors[:4]
    sae = SAE(features=5, semantics=3, lam=2.0, direction=direction, scaled=False)
    got = sae.learn(images, labels, classes).scores(images, classes)
    w = sae_matrix(images.float(), vectors, 2.0)
    w = torch.stack([row / math.hypot(*row.tolist()) for row in w])
    for i in range(12):
        for c in range(4):
            if direction == "V->S":
                a, b = [(w[k] * images[i]).sum().item() for k in range(3)], vectors[c].tolist()
            else:
                a, b = images[i].tolist(), [(w[:, j] * vectors[c]).sum().item() for j in range(5)]
            dot = sum(p * q for p, q in zip(a, b, strict=True))
            assert got[i, c].item() == pytest.approx(dot / math.hypot(*a) / math.hypot(*b), abs=1e-5)


def test_sae_scales():
    images, vectors = problem()
    sae = SAE(features=9, semantics=6).learn(30 * images, torch.arange(40) % 4, vectors[:4])
    assert sae.standardized(30 * images).square().sum(1).mean().item() == pytest.approx(1.0, rel=1e-5)
