"""AVE-Net against the paper's table, plain geometry and finite differences."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.spatial.distance import cdist

from llinet_lite.losses import avc_accuracy, avc_loss
from llinet_lite.models import AVENet, layer_table
from llinet_lite.models.towers import linear_head

TOWER = {
    "vision": [(64, 112, 112), (64, 112, 112), (64, 56, 56), (128, 56, 56), (128, 56, 56), (128, 28, 28),
               (256, 28, 28), (256, 28, 28), (256, 14, 14), (512, 14, 14), (512, 14, 14), (512,)],
    "audio": [(64, 128, 100), (64, 128, 100), (64, 64, 50), (128, 64, 50), (128, 64, 50), (128, 32, 25),
              (256, 32, 25), (256, 32, 25), (256, 16, 12), (512, 16, 12), (512, 16, 12), (512,)],
}  # fmt: skip
HEAD = {"fc1": (512, 128), "fc2": (128, 128)}


def small(seed=0, **options):
    torch.manual_seed(seed)
    return AVENet(width=4, **options)


def batch(count=4, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 32, 32, generator=rng), torch.randn(count, 1, 65, 40, generator=rng)


def unit(count, size=128, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, size, generator=rng).double(), dim=-1)


def test_layers_are_the_papers():
    with torch.device("meta"):
        model = AVENet()
        table = layer_table(model, torch.empty(1, 3, 224, 224), torch.empty(1, 1, 257, 200))
    rows = table.set_index("layer")
    for sense, sizes in TOWER.items():
        own = rows[rows.index.str.startswith(f"{sense}.")]
        assert own.output.tolist() == sizes
        assert own.macs.sum() / 1e9 == pytest.approx({"vision": 2.56, "audio": 2.58}[sense], rel=0.01)
        for name, (inside, outside) in HEAD.items():
            assert rows.output[f"{sense}_head.{name}"] == (outside,)
            assert rows.parameters[f"{sense}_head.{name}"] == inside * outside + outside
    assert rows.output["fc3"] == (2,) and rows.parameters["fc3"] == 4
    assert len(rows) == 12 + 2 + 12 + 2 + 1
    count = sum(parameter.numel() for parameter in model.parameters())
    idle = sum(part.out_channels for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    assert rows.parameters.sum() == count == 9_537_796
    assert round((count + idle) / 1e6, 2) == 9.54  # with the biases that batch normalisation makes idle


def test_only_fc1_has_a_relu():
    model, image = small().double().eval(), batch()[0].double()
    features, (fc1, _, fc2) = model.vision(image), model.vision_head
    hidden = (features @ fc1.weight.T + fc1.bias).clamp(min=0)
    assert (hidden == 0).any()
    embeddings = hidden @ fc2.weight.T + fc2.bias
    assert embeddings.min() < 0 < embeddings.max()
    torch.testing.assert_close(
        model.embed_image(image), embeddings / embeddings.square().sum(-1, keepdim=True) ** 0.5
    )


@pytest.mark.parametrize("training", [True, False])
def test_embeddings_have_length_one(training):
    model = small().train(training)
    image, sound = batch()
    for x in (model.embed_image(image), model.embed_audio(sound)):
        assert x.shape == (4, 128) and x.dtype == torch.float32
        torch.testing.assert_close(x.norm(dim=-1), torch.ones(4))


def test_embeddings_and_logits_are_float32_under_autocast():
    model = small()
    image, sound = batch()
    with torch.autocast("cpu", torch.bfloat16):
        v, a = model.embed_image(image), model.embed_audio(sound)
        logits = model.all_pairs(v, a)
    assert v.dtype == a.dtype == logits.dtype == torch.float32
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(4))
    torch.testing.assert_close(logits, model.all_pairs(v, a), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distances_are_euclidean(dtype):
    model, v, a = small(), unit(7), unit(5, seed=1)
    a[:2] = v[:2] + 1e-3 * unit(2, seed=2)  # near ones, too
    a[2] = -v[2]
    want = cdist(v.numpy(), a.numpy())
    got = model.distances(v.to(dtype), a.to(dtype))
    assert got.dtype == dtype and got.shape == (7, 5)
    assert got.max().item() == pytest.approx(2)
    np.testing.assert_allclose(got.numpy(), want, rtol=3e-6, atol=6e-6)
    assert not np.allclose(got.numpy(), want**2, atol=0.1)
    torch.testing.assert_close(model.distance(v[:5], a), model.distances(v, a)[:5].diagonal())


def test_distance_of_a_vector_to_itself_is_nothing_and_has_a_gradient():
    v = unit(3).float().requires_grad_()
    distance = small().distance(v, v.detach())
    assert 0 <= distance.max() <= 1.1e-4
    distance.sum().backward()
    assert torch.isfinite(v.grad).all()
    table = small().distances(v, v)
    assert torch.autograd.grad(table.sum(), v)[0].isfinite().all()


def test_gradients_are_finite_differences():
    model = small().double()
    v, a = unit(3, 6).requires_grad_(), unit(4, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(model.distances, (v, a))
    assert torch.autograd.gradcheck(model.distance, (v, a[:3].detach()))
    assert torch.autograd.gradcheck(model.all_pairs, (v, a))
    assert torch.autograd.gradcheck(
        model.distance, (v, (v + 0.01).detach())
    )  # near, where the root is steepest


def test_calibration_starts_with_the_right_sign_and_orders():
    model = small()
    assert model.slope == pytest.approx(-6) and model.threshold == pytest.approx(1.3)
    distance = torch.linspace(0.01, 1.99, 41)
    logits = model.calibrate(distance)
    assert logits.shape == (41, 2)
    lead = logits[:, 1] - logits[:, 0]
    assert (lead.diff() < 0).all()
    assert ((lead > 0) == (distance < 1.3)).all()
    torch.testing.assert_close(model.calibrate(torch.tensor(model.threshold)).diff(), torch.zeros(1))
    assert model.calibrate(distance.reshape(1, 41, 1)).shape == (1, 41, 1, 2)


def test_calibration_is_a_linear_layer():
    model, distance = small(sign_init=False), torch.rand(3, 5)
    want = torch.nn.functional.linear(distance[..., None], model.fc3.weight, model.fc3.bias)
    torch.testing.assert_close(model.calibrate(distance), want)
    equal = model.calibrate(torch.tensor(model.threshold, dtype=torch.float64))
    assert equal[0].item() == pytest.approx(equal[1].item(), abs=1e-5)


def test_without_sign_init_either_sign_occurs_and_none_is_constrained():
    slopes = [small(seed, sign_init=False).slope for seed in range(12)]
    assert min(slopes) < 0 < max(slopes)
    model = small()
    assert all(parameter.requires_grad for parameter in model.fc3.parameters())
    with torch.no_grad():
        model.fc3.weight.neg_()
    assert model.slope == pytest.approx(6)


@pytest.mark.parametrize("sign_init", [True, False])
def test_all_pairs_is_forward_on_the_pairs(sign_init):
    model = small(sign_init=sign_init).double().eval()
    image, sound = (x.double() for x in batch(5))
    v, a = model.embed_image(image[:3]), model.embed_audio(sound)
    logits = model.all_pairs(v, a)
    assert logits.shape == (3, 5, 2)
    for i in range(3):
        for j in range(5):
            torch.testing.assert_close(logits[i, j], model(image[i : i + 1], sound[j : j + 1])[0])
    torch.testing.assert_close(model.pairs(v, a[:3]), logits[:, :3].diagonal().T)


def test_nearest_is_most_likely():
    model, v, a = small(), unit(6), unit(9, seed=1)
    logits = model.all_pairs(v, a)
    likely = torch.argsort(logits[..., 1] - logits[..., 0], dim=1, descending=True)
    assert torch.equal(likely, torch.argsort(model.distances(v, a), dim=1))


def test_every_weight_matters_and_so_does_each_sense():
    model = small()
    image, sound = batch()
    model(image, sound)[:, 1].square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    model.eval()
    base = model(image, sound)
    assert not torch.allclose(base, model(image.flip(0), sound))
    assert not torch.allclose(base, model(image, sound.flip(0)))


def test_fresh_embeddings_of_different_inputs_differ():
    image, sound = batch(16)
    model = small()
    for x in (model.embed_image(image), model.embed_audio(sound)):
        cosines = (x @ x.T)[~torch.eye(16, dtype=bool)]
        assert cosines.mean() < 0.3  # 0.9 and more with He's weights alone
    head = linear_head(512, 128)
    for layer in (head.fc1, head.fc2):
        torch.testing.assert_close(layer.weight.mean(-1), torch.zeros(128), rtol=0, atol=1e-6)
        assert layer.weight.std().item() == pytest.approx((2 / layer.in_features) ** 0.5, rel=0.1)
        assert not layer.bias.any()


def test_overfits_a_batch_and_aligns_the_senses():
    model = small()
    image, sound = batch(8)
    group = torch.arange(8)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    first = None
    for _ in range(40):
        logits = model.all_pairs(model.embed_image(image), model.embed_audio(sound))
        loss = avc_loss(logits, group, "all")
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert 0.4 < first < 1.2 and loss < 0.1
    assert avc_accuracy(logits, group, "all") == 1
    distances = model.distances(model.embed_image(image), model.embed_audio(sound))
    assert torch.equal(distances.argmin(1), group) and torch.equal(distances.argmin(0), group)
    assert model.slope < 0 and 0 < model.threshold < 2


def test_weights_are_a_function_of_the_seed():
    one, same, other = (small(seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["vision_head.fc2.weight"], other["vision_head.fc2.weight"])


def test_weights_survive_a_file(tmp_path):
    model = small().eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other = small(9).eval()
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(model(*batch()), other(*batch()))
    assert copy.deepcopy(model).threshold == model.threshold


def test_refusals_are_sentences():
    model = small()
    image, sound = batch()
    with pytest.raises(ValueError, match=r"VisionTower takes \(B, 3, H, W\), got \(4, 1, 65, 40\)"):
        model.embed_image(sound)
    with pytest.raises(ValueError, match=r"AudioTower takes \(B, 1, H, W\), got \(4, 3, 32, 32\)"):
        model.embed_audio(image)
    with pytest.raises(ValueError, match="4 images and 1 audios make no pairs"):
        model(image, sound[:1])
    with pytest.raises(ValueError, match="3 images and 1 audios make no pairs"):
        model.pairs(unit(3), unit(1))
    with pytest.raises(ValueError, match="Embeddings of 128 and 64 numbers have no distance"):
        model.all_pairs(unit(3), unit(3, 64))
    with pytest.raises(ValueError, match="variant '2019' is unknown"):
        AVENet("2019")
