"""LLINet: sizes of the paper, the gate against a plain loop, what learns and what stays."""

import math

import pytest
import torch
import torch.nn.functional as F

from llinet_lite.models import AudioEncoder, LLINet, Trunk, layer_table
from llinet_lite.models.llinet import ResidualBlock


def small(gate="spatial", seed=0, trunk="standin", **options):
    torch.manual_seed(seed)
    return LLINet(trunk, gate, width=2, size=6, **options)


def batch(count=4, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 32, 32, generator=rng), torch.randn(count, 16, 40, generator=rng)


def count(*modules):
    return sum(weight.numel() for module in modules for weight in module.parameters())


def statistics(module):
    return {key: value.clone() for key, value in module.named_buffers() if "running" in key}


def test_paper_sizes():
    with torch.device("meta"):
        model, image, sound = LLINet(), torch.empty(2, 3, 244, 244), torch.empty(2, 303, 40)
        early, late = model.see(image)
        embedding, local = model.attend(early, late)
        audio = model.embed_audio(sound)
        whole = model(image, sound)
        assert model.localize(image, sound).shape == (2, 16, 16)
        assert [part.shape for part in model.embed_image(image)] == [(2, 1024), (2, 1024, 16, 16)]
    assert (early.shape, late.shape) == ((2, 512, 31, 31), (2, 1024, 16, 16))
    assert (embedding.shape, local.shape) == ((2, 1024), (2, 1024, 16, 16))
    assert audio.shape == model.transform(audio).shape == (2, 1024)
    assert [part.shape for part in whole] == [(2, 1024), (2, 1024), (2, 16, 16)]
    # 23 bottlenecks: three weights and norms each, the first from 512 channels and with a shortcut
    inner = 1024 * 256 + 9 * 256 * 256 + 256 * 1024 + 2 * (256 + 256 + 1024)
    first = inner - 512 * 256 + 512 * 1024 + 2 * 1024
    assert count(model.attention) == 22 * inner + first == 26_090_496
    assert count(model.image_head) == 2048 * 2048 + 2048 + 2048 * 1024 + 1024
    assert count(model.audio) == 8_793_152 and count(model.transformation) == 1024 * 1024 + 1024
    assert model.trunk.title == "ResNet-101, untrained" and model.trunk.normalization == "imagenet"
    weight = LLINet("standin", width=8, size=64).image_head.fc1.weight  # U(-0.1, 0.1)
    assert weight.abs().max() <= 0.1 and weight.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("gate", ["spatial", "batch", "none"])
@torch.no_grad()
def test_the_gate_is_a_plain_loop(gate):
    model = small(gate).double().eval()
    early, late = model.see(batch(3)[0].double())
    local = model.attention(early)
    pictures, channels, height, width = local.shape
    opened = torch.empty_like(late)
    for b in range(pictures):
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    rivals = {
                        "spatial": local[b, c].flatten(),
                        "batch": local[:, c, y, x],
                        "none": torch.tensor([math.inf]),
                    }[gate]
                    share = sum(math.exp(float(rival - local[b, c, y, x])) for rival in rivals)
                    opened[b, c, y, x] = late[b, c, y, x] * (1 + 1 / share)
    pooled = model.trunk.network.layer4(opened).mean((2, 3))
    expected = model.image_head.fc2(model.image_head.fc1(pooled).clamp(min=0))
    got, kept = model.attend(early, late)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(kept, local)
    assert local.min() >= 0


@torch.no_grad()
def test_the_map_is_a_plain_loop():
    model = small().double().eval()
    image, sound = (x.double() for x in batch(3))
    local, audio = model.embed_image(image)[1], model.embed_audio(sound)
    linear = model.transformation
    rows = list(zip(linear.weight, linear.bias, strict=True))
    asked = [[max(0.0, float(row @ a + b)) for row, b in rows] for a in audio]
    scores = model.localize(image, sound)
    for i in range(3):
        for y in range(scores.shape[1]):
            for x in range(scores.shape[2]):
                cell = local[i, :, y, x].tolist()
                expected = sum(v * a for v, a in zip(cell, asked[i], strict=True))
                assert scores[i, y, x].item() == pytest.approx(expected)
    assert scores.min() >= 0 and scores.std() > 0
    embedding, heard, again = model(image, sound)
    torch.testing.assert_close(embedding, model.embed_image(image)[0])
    torch.testing.assert_close((heard, again), (audio, scores))


def test_the_attention_layer_starts_as_a_copy_and_is_its_own():
    trunk = Trunk("standin", width=2)
    trunk.network.layer3[0].bn1.running_mean.fill_(0.3)
    model = small(trunk=trunk).eval()
    early, late = model.see(batch()[0])
    assert torch.equal(early, trunk.eval().early(batch()[0])) and torch.equal(late, trunk.late(early))
    assert torch.equal(model.attention(early), late)
    with torch.no_grad():
        next(model.attention.parameters()).zero_()
    assert torch.equal(model.see(batch()[0])[1], late)


def test_gradients_reach_what_is_trained_and_nothing_frozen():
    model = small()
    image, sound = batch()
    embedding, _, scores = model(image, sound)
    embedding.square().sum().backward(retain_graph=True)  # through the frozen top
    assert all(weight.grad.abs().sum() > 0 for weight in model.attention.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in model.image_head.parameters() if weight.ndim > 1)
    assert all(weight.grad is None for weight in (*model.audio.parameters(), model.transformation.weight))
    model.zero_grad()
    scores.square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.attention.parameters())
    assert all(weight.grad.abs().sum() > 0 for weight in model.audio.parameters() if weight.ndim > 1)
    assert model.transformation.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in model.image_head.parameters())
    assert all(weight.grad is None and not weight.requires_grad for weight in model.trunk.parameters())
    early, late = model.see(image)
    assert not early.requires_grad and not late.requires_grad


@pytest.mark.parametrize("frozen_bn", [None, "eval", "train"])
def test_statistics_of_the_trunk(frozen_bn):
    model = small(frozen_bn=frozen_bn)
    before = statistics(model.trunk)
    model(*batch())
    after = statistics(model.trunk)
    assert {not torch.equal(after[key], before[key]) for key in before} == {frozen_bn == "train"}
    own = statistics(model.attention)
    model.eval()(*batch())
    assert all(torch.equal(value, own[key]) for key, value in statistics(model.attention).items())
    assert all(torch.equal(value, after[key]) for key, value in statistics(model.trunk).items())


def test_under_autocast_the_gate_and_lengths_keep_full_precision():
    model = small().eval()
    image, sound = batch()
    with torch.autocast("cpu", torch.bfloat16):
        embedding, audio, scores = model(image, sound)
    assert audio.dtype == scores.dtype == torch.float32
    torch.testing.assert_close(audio.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(embedding.float(), model.embed_image(image)[0], rtol=0.1, atol=0.1)


# ---- the audio encoder


def logmel(count=2, frames=30, seed=1):
    return torch.randn(count, frames, 40, generator=torch.Generator().manual_seed(seed))


def unsettled(module, seed=0):
    """Give every batch normalisation statistics of its own, so that leaving one out shows."""
    rng = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for value in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                value.uniform_(0.5, 1.5, generator=rng)
    return module.double().eval()


def norm(x, layer):
    mean, var, weight, bias = (
        value.view(-1, 1, 1) for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / (var + layer.eps).sqrt() * weight + bias


def block(x, module, stride=1):
    """One residual block, written out."""
    y = F.conv2d(x, module.conv1.weight, stride=stride, padding=1)
    y = F.conv2d(norm(y, module.norm1).clamp(min=0), module.conv2.weight, padding=1)
    if isinstance(module.shortcut, torch.nn.Sequential):
        conv, after = module.shortcut
        x = norm(F.conv2d(x, conv.weight, conv.bias, stride=stride), after)
    return (norm(y, module.norm2) + x).clamp(min=0)


def test_paper_sizes_of_the_audio_encoder():
    with torch.device("meta"):
        model, sound = AudioEncoder(), torch.empty(1, 303, 40)
        rows = layer_table(model, sound)
        assert model.maps(sound).shape == (1, 512, 38, 5)
        assert model.pooled(sound).shape == (1, 512) and model(sound).shape == (1, 1024)
    first = rows.set_index("layer")
    assert first.output["conv1"] == (64, 76, 10)  # the maximum is part of the first block
    assert rows.output.iloc[-1] == (1024,)
    assert {(128, 76, 10), (512, 38, 5)} <= set(rows.output)
    # by hand: 7x7, then per block two 3x3 without bias and their norms, shortcuts 1x1 with bias and norm, fc
    stage1 = 9 * (64 * 128 + 3 * 128 * 128) + 4 * 2 * 128 + (64 * 128 + 128 + 2 * 128)
    stage2 = 9 * (128 * 512 + 3 * 512 * 512) + 4 * 2 * 512 + (128 * 512 + 512 + 2 * 512)
    by_hand = 49 * 64 + 2 * 64 + stage1 + stage2 + 512 * 1024 + 1024
    assert sum(parameter.numel() for parameter in model.parameters()) == by_hand == 8_793_152


@pytest.mark.parametrize(("inside", "outside", "stride"), [(4, 4, 1), (4, 6, 1), (4, 6, 2), (4, 4, 2)])
def test_a_block_written_out(inside, outside, stride):
    torch.manual_seed(0)
    module = unsettled(ResidualBlock(inside, outside, stride))
    x = torch.randn(2, inside, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(module(x), block(x, module, stride))


@pytest.mark.parametrize(("call", "says"), [
    (lambda: small("channel"), "gate 'channel' is unknown; choose one of 'spatial', 'batch', 'none'"),
    (lambda: small(trunk="alexnet"), "trunk 'alexnet' is unknown; choose one of 'resnet18', "),
    (lambda: small().localize(batch(3)[0], batch(2)[1]), "3 images and 2 audios make no pairs"),
])  # fmt: skip
def test_refusals(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
