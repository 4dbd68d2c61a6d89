"""AVOL-Net against the paper's figure, plain loops and finite differences."""

import pytest
import torch
import torch.nn.functional as F

from llinet_lite.losses import avc_loss
from llinet_lite.models import AVENet, AVOLNet, layer_table


def small(seed=0, **options):
    torch.manual_seed(seed)
    return AVOLNet(width=4, **options)


def batch(count=4, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 32, 32, generator=rng), torch.randn(count, 1, 65, 40, generator=rng)


def vectors(pictures, sounds, size=6, seed=2, sides=(3, 4)):
    """Embeddings (pictures, size, *sides) and (sounds, size) in float64."""
    rng = torch.Generator().manual_seed(seed)
    shapes = (pictures, size, *sides), (sounds, size)
    return tuple(torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes)


def test_layers_are_the_papers():
    with torch.device("meta"):
        model = AVOLNet()
        inputs = torch.empty(1, 3, 224, 224), torch.empty(1, 1, 257, 200)
        rows = layer_table(model, *inputs).set_index("layer")
        logit, heat = model(*inputs)
        assert model.embed_image(inputs[0]).shape == (1, 128, 14, 14)
        towers = layer_table(AVENet(), *inputs).set_index("layer")
    assert rows.output["vision.conv4_2"] == (512, 14, 14) and "vision.pool4" not in rows.index
    assert rows.output[["conv5", "conv6", "conv7"]].tolist() == [(128, 14, 14), (128, 14, 14), (1, 14, 14)]
    assert rows.parameters[["conv5", "conv6", "conv7"]].tolist() == [512 * 128 + 128, 128 * 128 + 128, 2]
    assert rows.macs[["conv5", "conv6", "conv7"]].tolist() == [196 * 512 * 128, 196 * 128 * 128, 196]
    assert rows.output["audio.pool4"] == (512,)
    assert rows.output[["audio_head.fc1", "audio_head.fc2"]].tolist() == [(128,), (128,)]
    same = rows.index[rows.index.str.match(r"(vision|audio)\.")]
    assert len(same) == 11 + 12 and rows.loc[same].equals(towers.loc[same])
    assert rows.parameters.sum() == sum(parameter.numel() for parameter in model.parameters()) == 9_537_794
    assert logit.shape == (1,) and heat.shape == (1, 14, 14)


def test_maps_and_logits_are_a_plain_loop():
    model, (v, a) = small(size=6).double(), vectors(3, 3)
    with torch.no_grad():
        model.conv7.weight.fill_(0.7)
        model.conv7.bias.fill_(-0.2)
    maps, heat, pairs = model.logit_map(v, a), model.heat(v, a), model.pairs(v, a)
    assert maps.shape == heat.shape == (3, 3, 4)
    for i in range(3):
        cells = [[0.7 * float(v[i, :, y, x] @ a[i]) - 0.2 for x in range(4)] for y in range(3)]
        assert maps[i].tolist() == [pytest.approx(row) for row in cells]
        largest = max(max(row) for row in cells)
        assert pairs[i].tolist() == [0, pytest.approx(largest)]
        assert heat[i].max().item() == pytest.approx(torch.tensor(largest).sigmoid().item())


def test_two_way_cross_entropy_is_the_logistic_loss():
    torch.manual_seed(0)
    z = (20 * torch.randn(50)).double().requires_grad_()
    target = torch.randint(0, 2, (50,))
    two = avc_loss(torch.stack([torch.zeros_like(z), z], -1), target)
    one = F.binary_cross_entropy_with_logits(z, target.double())
    assert two.item() == pytest.approx(one.item(), rel=1e-12)
    torch.testing.assert_close(torch.autograd.grad(two, z), torch.autograd.grad(one, z))
    model, (v, a) = small(size=6).double(), vectors(4, 4)
    logit, target = model.logit_map(v, a).amax((1, 2)), torch.tensor([1, 0, 0, 1])
    want = F.binary_cross_entropy_with_logits(logit, target.double())
    assert avc_loss(model.pairs(v, a), target).item() == pytest.approx(want.item())


def test_gradients_are_finite_differences():
    model, (v, a) = small(size=6).double(), vectors(2, 2)
    with torch.no_grad():
        model.conv7.weight.fill_(0.3)
    inputs = (v.requires_grad_(), a.requires_grad_())
    assert torch.autograd.gradcheck(model.logit_map, inputs)
    assert torch.autograd.gradcheck(model.heat, inputs)
    assert torch.autograd.gradcheck(model.pairs, inputs)
    assert torch.autograd.gradcheck(model.all_pairs, inputs)
    weights = [parameter.detach().requires_grad_() for parameter in model.conv7.parameters()]

    def scaled(weight, bias):
        model.conv7.weight, model.conv7.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
        return torch.func.functional_call(model.conv7, {"weight": weight, "bias": bias}, (v.detach(),))

    assert torch.autograd.gradcheck(scaled, weights)


def test_forward_gives_the_pairs_logits_and_their_maps():
    model, (image, sound) = small().eval(), batch()
    v, a = model.embed_image(image), model.embed_audio(sound)
    logit, heat = model(image, sound)
    torch.testing.assert_close(logit, model.pairs(v, a)[:, 1])
    torch.testing.assert_close(heat, model.heat(v, a))


@pytest.mark.parametrize(("call", "says"), [
    (lambda: small().embed_image(batch()[1]), r"VisionTower takes \(B, 3, H, W\)"),
    (lambda: small().heat(*vectors(3, 1)), "3 images and 1 audios make no pairs"),
    (lambda: small().all_pairs(vectors(3, 3)[0], torch.zeros(3, 5)), r"got \(3, 6, 3, 4\) and \(3, 5\)"),
])  # fmt: skip
def test_refusals(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
