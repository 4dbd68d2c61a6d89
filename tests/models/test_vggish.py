"""VGGish: the published sizes, the network written out, its ear, files in the layout of the public port."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from llinet_lite.features import VGGishExamples
from llinet_lite.models import Ear, VGGish, layer_table
from llinet_lite.models.vggish import FILE, load_vggish_weights

CONVOLUTIONS = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256), 13: (512, 512)}
LINEAR = {0: (4096, 6 * 4 * 512), 2: (4096, 4096), 4: (128, 4096)}


def public_layout() -> dict[str, tuple]:
    """Names and sizes in the public port's file, without the PCA."""
    sizes = {}
    for place, size in CONVOLUTIONS.items():
        sizes |= {f"features.{place}.weight": (*size, 3, 3), f"features.{place}.bias": size[:1]}
    for place, size in LINEAR.items():
        sizes |= {f"embeddings.{place}.weight": size, f"embeddings.{place}.bias": size[:1]}
    return sizes


def small(width=2, size=5, seed=0, **options) -> VGGish:
    torch.manual_seed(seed)
    return VGGish(width, size, **options)


def examples(count=2, parts=3, seed=1):
    return torch.randn(count, parts, 96, 64, generator=torch.Generator().manual_seed(seed))


def written_out(state: dict, example: torch.Tensor) -> torch.Tensor:
    """One example (96, 64) -> (size,), from the tensors of a file."""
    maps = example[None, None]
    for place in CONVOLUTIONS:
        name = f"features.{place}"
        maps = F.conv2d(maps, state[f"{name}.weight"], state[f"{name}.bias"], padding=1).clamp(min=0)
        if place in (0, 3, 8, 13):
            count, height, width = maps.shape[1:]
            maps = maps.reshape(1, count, height // 2, 2, width // 2, 2).amax((3, 5))
    channels = maps.shape[1]
    places = [(c, t, f) for t in range(6) for f in range(4) for c in range(channels)]
    x = torch.stack([maps[0][place] for place in places])  # as TensorFlow flattens
    for place in LINEAR:
        x = (state[f"embeddings.{place}.weight"] @ x + state[f"embeddings.{place}.bias"]).clamp(min=0)
    return x


def test_paper_sizes():
    with torch.device("meta"):
        model, sound = VGGish(), torch.empty(2, 3, 96, 64)
        assert model(sound).shape == (2, 3, 128)
        rows = layer_table(model, sound)
        wide = VGGish(classes=527)
        assert wide.logits(sound).shape == (2, 527)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == public_layout()
    by_hand = sum(math.prod(size) for size in public_layout().values())
    assert sum(weight.numel() for weight in model.parameters()) == by_hand == 72_141_184
    assert rows.output.tolist() == [(512, 6, 4), (4096,), (4096,), (128,)]
    assert model.title == "VGGish of width 64, untrained"


def test_the_network_written_out():
    model, sound = small().double(), examples().double()
    for name, weight in model.named_parameters():  # biases start at zero: give them something to do
        if name.endswith("bias"):
            weight.data.uniform_(-0.2, 0.5)
    got = model(sound)
    want = torch.stack([torch.stack([written_out(model.state_dict(), x) for x in row]) for row in sound])
    torch.testing.assert_close(got, want)
    assert got.min() >= 0 and got.max() > 0


def test_logits_come_from_the_mean_of_the_examples():
    model, sound = small(classes=4), examples()
    mean = sum(model(sound)[:, p] for p in range(3)) / 3
    want = mean @ model.classifier.weight.T + model.classifier.bias
    torch.testing.assert_close(model.logits(sound), want)


def test_the_ear_is_the_mean_and_stays_as_it_is():
    model = small().train()
    model.title = "VGGish of the tests"
    ear = Ear(model, 8000).train()
    assert ear.vggish is model and (ear.size, ear.title) == (5, "VGGish of the tests")
    assert not any(part.training for part in ear.modules())
    assert not any(weight.requires_grad for weight in ear.parameters())
    assert set(ear.state_dict()) == {f"vggish.{name}" for name in model.state_dict()}
    wave = torch.rand(2, 20_000, generator=torch.Generator().manual_seed(0)) - 0.5
    wave.requires_grad_()
    heard = ear(wave)
    assert heard.shape == (2, 5) and heard.dtype == torch.float32 and not heard.requires_grad
    parts = model(VGGishExamples(8000)(wave.detach()))
    assert parts.shape[1] == 2
    torch.testing.assert_close(heard, (parts[:, 0] + parts[:, 1]) / 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ear(wave).dtype == torch.float32


def saved(folder, name=FILE, model=None, **more):
    """A file as the public port's: the network and its PCA."""
    state = {**(model or small(seed=3)).state_dict(), **more}
    state |= {"pproc.pca_eigen_vectors": torch.ones(128, 128), "pproc.pca_means": torch.ones(128, 1)}
    path = folder / name
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("name", "title"),
    [(FILE, "VGGish as released with AudioSet"), ("vggish-mine.safetensors", "VGGish, vggish-mine")],
)
def test_weights_are_loaded_and_the_pca_is_left_out(tmp_path, name, title):
    source, model = small(seed=3).half(), small()
    assert load_vggish_weights(model, saved(tmp_path, name, source)) is model and model.title == title
    for key, value in source.state_dict().items():
        assert model.state_dict()[key].dtype == torch.float32
        assert torch.equal(model.state_dict()[key], value.float()), key


@pytest.mark.parametrize(("source", "message"), [
    ({"width": 3}, r"has in another size 17 tensors \(features.0.weight"),
    ({"classes": 4}, r"has besides 2 tensors \(classifier.weight"),
])  # fmt: skip
def test_another_network_is_refused(tmp_path, source, message):
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"{FILE} holds another network than VGGish of width 2.*{message}"):
        load_vggish_weights(model, saved(tmp_path, model=small(**source)))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert "untrained" in model.title


@pytest.mark.parametrize(("call", "says"), [
    (lambda: small()(torch.zeros(2, 96, 64)), r"takes examples \(B, P, 96, 64\)"),
    (lambda: small().logits(examples()), "VGGish of width 2, untrained has no classifier"),
])  # fmt: skip
def test_refusals(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
