"""L3-Net against the tables of the two papers."""

import pytest
import torch

from llinet_lite.models import AudioTower, AVENet, AVOLNet, L3Net, VisionTower, layer_table


def sizes(model, *shapes):
    with torch.device("meta"):
        return layer_table(model.to("meta"), *(torch.empty(1, *shape) for shape in shapes))


VISION = {
    "2017": [(64, 224), (64, 224), (64, 112), (128, 112), (128, 112), (128, 56), (256, 56), (256, 56),
             (256, 28), (512, 28), (512, 28)],
    "2018": [(64, 112), (64, 112), (64, 56), (128, 56), (128, 56), (128, 28), (256, 28), (256, 28),
             (256, 14), (512, 14), (512, 14)],
}  # fmt: skip
AUDIO = {
    ("2017", 199): [(64, 257, 199), (64, 257, 199), (64, 128, 99), (128, 128, 99), (128, 128, 99),
                    (128, 64, 49), (256, 64, 49), (256, 64, 49), (256, 32, 24), (512, 32, 24), (512, 32, 24)],
    ("2018", 200): [(64, 128, 100), (64, 128, 100), (64, 64, 50), (128, 64, 50), (128, 64, 50),
                    (128, 32, 25), (256, 32, 25), (256, 32, 25), (256, 16, 12), (512, 16, 12), (512, 16, 12)],
}  # fmt: skip
NAMES = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1", "conv3_2", "pool3",
         "conv4_1", "conv4_2", "pool4"]  # fmt: skip


@pytest.mark.parametrize(("variant", "frames"), AUDIO)
def test_tower_sizes_are_the_papers(variant, frames):
    seen, heard = sizes(VisionTower(variant), (3, 224, 224)), sizes(AudioTower(variant), (1, 257, frames))
    assert seen.layer.tolist() == heard.layer.tolist() == NAMES
    assert seen.output.tolist() == [(c, n, n) for c, n in VISION[variant]] + [(512,)]
    assert heard.output.tolist() == [*AUDIO[variant, frames], (512,)]


@pytest.mark.parametrize(("variant", "vision", "audio"), [("2017", 10.3, 10.2), ("2018", 2.56, 2.58)])
def test_parameters_and_cost_are_the_papers(variant, vision, audio):
    frames = 199 if variant == "2017" else 200
    model = L3Net(variant)
    count = sum(parameter.numel() for parameter in model.parameters())
    idle = sum(part.out_channels for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    assert round((count + idle) / 1e6, 2) == 9.51  # with the biases that batch normalisation makes idle
    assert count == 9_504_898
    table = sizes(model, (3, 224, 224), (1, 257, frames))
    cost = {name: table.macs[table.layer.str.startswith(name)].sum() / 1e9 for name in ("vision", "audio")}
    assert cost["vision"] == pytest.approx(vision, rel=0.01)
    assert cost["audio"] == pytest.approx(audio, rel=0.01)
    assert table.parameters.sum() == count
    assert model.training


@pytest.mark.parametrize("variant", ["2017", "2018"])
@pytest.mark.parametrize("kind", [L3Net, AVENet, AVOLNet])
def test_all_pairs_are_the_pairs(kind, variant):
    torch.manual_seed(0)
    model = kind(variant, width=4).double().eval()
    image, spectrogram = torch.rand(3, 3, 32, 32).double(), torch.randn(5, 1, 65, 40).double()
    v, a = model.embed_image(image), model.embed_audio(spectrogram)
    logits = model.all_pairs(v, a)
    assert logits.shape == (3, 5, 2)
    for shift in range(5):
        sound = (torch.arange(3) + shift) % 5
        torch.testing.assert_close(
            logits[torch.arange(3), sound], model.pairs(v, a[sound]), rtol=1e-10, atol=1e-12
        )
    if kind is not AVOLNet:  # whose forward gives maps, too
        torch.testing.assert_close(model(image, spectrogram[:3]), model.pairs(v, a[:3]))


def test_both_modalities_and_every_weight_matter():
    torch.manual_seed(0)
    model = L3Net(width=4)
    image, spectrogram = torch.rand(4, 3, 64, 64), torch.randn(4, 1, 129, 100)
    logits = model(image, spectrogram)
    assert logits.shape == (4, 2)
    logits.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())
    model.eval()
    base = model(image, spectrogram)
    assert not torch.allclose(base, model(image.flip(0), spectrogram))
    assert not torch.allclose(base, model(image, spectrogram.flip(0)))


def test_initialisation_is_he_normal():
    torch.manual_seed(0)
    model = L3Net(width=32)
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            fan_in = layer.weight[0].numel()
            assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.15)
            assert layer.bias is None or not layer.bias.any()


def test_global_maximum_shares_its_gradient_among_ties():
    tower = VisionTower(width=2)
    maps = torch.zeros(1, 1, 2, 2, requires_grad=True)
    tower.pool4(maps).sum().backward()
    assert maps.grad.tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]


@pytest.mark.parametrize(("call", "says"), [
    (lambda: L3Net("2019"), "variant '2019' is unknown; choose one of 2017, 2018"),
    (lambda: L3Net(width=2)(torch.zeros(2, 3, 64, 64), torch.zeros(1, 1, 129, 100)), "make no pairs"),
])  # fmt: skip
def test_refusals(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
