"""Relation Net against plain loops and layers written out."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite.rivals.relation import RelationNet, relation_loss

TARGETS = torch.tensor([0, 1, 0, 2, 1])


def relations(seed: int = 0) -> torch.Tensor:
    return torch.rand(5, 3, generator=torch.Generator().manual_seed(seed)).double()


def test_loss_against_loops():
    r = relations()
    rows = enumerate(r.tolist())
    total = sum((value - (TARGETS[i] == c).item()) ** 2 for i, row in rows for c, value in enumerate(row))
    assert relation_loss(r, TARGETS).item() == pytest.approx(total / 15, rel=1e-12)
    assert relation_loss(torch.full((5, 3), 1 / 3), TARGETS).item() == pytest.approx(2 / 9)
    assert relation_loss(torch.eye(3)[TARGETS], TARGETS) == 0


def test_gradients_and_order():
    r = relations().requires_grad_()
    assert gradcheck(lambda r: relation_loss(r, TARGETS), (r,))
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(relation_loss(r[order], TARGETS[order]), relation_loss(r, TARGETS))


def test_relations_against_pairs_written_out():
    random = torch.Generator().manual_seed(0)
    net = RelationNet(features=6, semantics=4, hidden=5, relation=7).double()
    images = torch.randn(3, 6, generator=random).double()
    classes = torch.randn(2, 4, generator=random).double()
    net.middle[:] = torch.randn(4, generator=random).double()
    net.scale.fill_(0.5)
    got = net.compare(images, classes)
    assert got.shape == (3, 2)
    for i in range(3):
        for c in range(2):
            g = net.g((classes[c] - net.middle) / 0.5)
            wanted = torch.sigmoid(net.second(torch.relu(net.first(torch.cat([g, images[i]])))))
            torch.testing.assert_close(got[i, c], wanted[0])


def test_only_classes_present_in_the_batch_are_compared(monkeypatch):
    random = torch.Generator().manual_seed(0)
    images, classes = torch.rand(4, 6, generator=random), torch.randn(5, 3, generator=random)
    net, widths = RelationNet(features=6, semantics=3, batch=4), []
    compare = net.compare
    monkeypatch.setattr(net, "compare", lambda x, s: widths.append(len(s)) or compare(x, s))
    net.learn(images, torch.tensor([4, 1, 1, 4]), classes, epochs=2)
    assert widths == [2, 2]


def test_class_vectors_are_standardised_by_the_training_classes():
    random = torch.Generator().manual_seed(0)
    images, classes = torch.rand(4, 6, generator=random), 3 + torch.randn(5, 3, generator=random)
    unit = classes / classes.norm(dim=1, keepdim=True)
    net = RelationNet(features=6, semantics=3).learn(images, torch.arange(4), classes, epochs=1)
    standard = (unit - net.middle) / net.scale
    assert standard.mean(0).abs().max() < 1e-5
    assert standard.square().mean().item() == pytest.approx(1.0, rel=1e-4)
    plain = RelationNet(features=6, semantics=3, standard=False).learn(
        images, torch.arange(4), classes, epochs=1
    )
    assert plain.scale == 1 and not plain.middle.any()


def test_a_run_begins_with_relations_that_many_classes_share():
    random = torch.Generator().manual_seed(0)
    images, classes = torch.rand(20, 6, generator=random), torch.randn(20, 3, generator=random)
    for prior, wanted in ((True, 1 / 20), (False, 1 / 2)):
        net = RelationNet(features=6, semantics=3, prior=prior, rate=1e-9)  # all but standing still
        found = net.learn(images, torch.arange(20), classes, epochs=1).scores(images, classes)
        assert found.mean().item() == pytest.approx(wanted, rel=0.3)


@pytest.mark.parametrize(("features", "hidden", "relation"), [(2048, 1024, 400), (128, 256, 256)])
def test_sizes(features, hidden, relation):
    net = RelationNet(features=features, semantics=16)
    assert net.g[0].weight.shape == (hidden, 16) and net.g[2].weight.shape == (features, hidden)
    assert net.first.weight.shape == (relation, 2 * features) and net.second.weight.shape == (1, relation)


def test_what_is_refused():
    with pytest.raises(ValueError, match="penalty"):
        RelationNet(features=4, semantics=3, penalty=-1.0)
    with pytest.raises(ValueError, match="rate"):
        RelationNet(features=4, semantics=3, rate=0.0)
