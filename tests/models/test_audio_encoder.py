"""LLINet's audio encoder: the sizes of the released code, and its blocks written out."""

import pytest
import torch
import torch.nn.functional as F

from llinet_lite.models import AudioEncoder, layer_table
from llinet_lite.models.audio_encoder import ResidualBlock


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


def test_paper_sizes():
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


def test_the_encoder_written_out():
    torch.manual_seed(0)
    model, sound = unsettled(AudioEncoder(2, 6)), logmel().double()
    y = norm(F.conv2d(sound[:, None], model.conv1.conv.weight, stride=2, padding=3), model.conv1.norm)
    y = F.max_pool2d(y.clamp(min=0), 3, 2, 1)
    y = block(block(y, model.stage1[0]), model.stage1[1])
    y = block(block(y, model.stage2[0], 2), model.stage2[1])
    torch.testing.assert_close(model.maps(sound), y)
    pooled = y.sum((2, 3)) / (y.shape[2] * y.shape[3])
    torch.testing.assert_close(model.pooled(sound), pooled)
    torch.testing.assert_close(model(sound), pooled @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize("frames", [1, 8, 101, 303])
def test_any_length(frames):
    model = AudioEncoder(2, 6).eval()
    maps = model.maps(logmel(1, frames))
    assert maps.shape == (1, 16, -(-frames // 8), 5) and model(logmel(1, frames)).shape == (1, 6)


def test_embeddings_keep_their_length_and_every_weight_learns():
    torch.manual_seed(0)
    model = AudioEncoder(2, 6)
    assert model.size == 6 and model.features == 16
    embedding = model(logmel(4))
    assert embedding.norm(dim=1).sub(1).abs().max() > 0.05  # the caller normalises
    embedding.square().sum().backward()
    names = [name for name, weight in model.named_parameters() if not weight.grad.abs().sum() > 0]
    # the biases before a batch normalisation are the ones that it takes away
    assert set(names) <= {"stage1.0.shortcut.0.bias", "stage2.0.shortcut.0.bias"}


def test_what_is_no_logmel_is_refused():
    for shape in ((4, 40), (1, 1, 30, 40)):
        with pytest.raises(ValueError, match=r"takes log-mel \(B, T, bands\), got .*see features.LogMel"):
            AudioEncoder(2, 6)(torch.zeros(shape))
