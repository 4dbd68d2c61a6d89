"""AVE-Net against the paper's table, plain geometry and finite differences."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from llinet_lite.losses import avc_loss
from llinet_lite.models import AVENet, AVENetMF, AVENetOF, L3Net, layer_table

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
    rows = table.set_index("layer")  # the towers' own are in test_l3net.py
    for sense in ("vision", "audio"):
        for name, (inside, outside) in HEAD.items():
            assert rows.output[f"{sense}_head.{name}"] == (outside,)
            assert rows.parameters[f"{sense}_head.{name}"] == inside * outside + outside
    assert rows.output["fc3"] == (2,) and rows.parameters["fc3"] == 4
    assert len(rows) == 12 + 2 + 12 + 2 + 1
    count = sum(parameter.numel() for parameter in model.parameters())
    idle = sum(part.out_channels for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    assert rows.parameters.sum() == count == 9_537_796
    assert round((count + idle) / 1e6, 2) == 9.54  # with the biases that batch normalisation makes idle


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


def test_gradients_are_finite_differences():
    model = small().double()
    v, a = unit(3, 6).requires_grad_(), unit(4, 6, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(model.distances, (v, a))
    assert torch.autograd.gradcheck(model.distance, (v, a[:3].detach()))
    assert torch.autograd.gradcheck(model.all_pairs, (v, a))
    near = (v + 0.01).detach()  # where the root is steepest
    assert torch.autograd.gradcheck(model.distance, (v, near))


def test_calibration_starts_with_the_right_sign_and_orders():
    model = small()
    assert model.slope == pytest.approx(-6) and model.threshold == pytest.approx(1.3)
    distance = torch.linspace(0.01, 1.99, 41)
    logits = model.fc3(distance)
    assert logits.shape == (41, 2)
    lead = logits[:, 1] - logits[:, 0]
    assert (lead.diff() < 0).all()
    assert ((lead > 0) == (distance < 1.3)).all()
    torch.testing.assert_close(model.fc3(torch.tensor(model.threshold)).diff(), torch.zeros(1))
    assert model.fc3(distance.reshape(1, 41, 1)).shape == (1, 41, 1, 2)


# ---- with motion

BLOCK = [(64, 112), (64, 112), (64, 56), (128, 56), (128, 56), (128, 28), (256, 28), (256, 28), (256, 14)]
NAMES = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1", "conv3_2", "pool3"]
LAST = ["conv4_1", "conv4_2", "pool4"]


def sounds(count=3, seed=1):
    return torch.randn(count, 1, 65, 40, generator=torch.Generator().manual_seed(seed))


def pictures(*shape, seed=2):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def trained(seed=0, variant="2018"):
    """A small AVE-Net whose batch normalisation and calibration have moved."""
    torch.manual_seed(seed)
    model = AVENet(variant, width=4, size=16)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(2):
        optimiser.zero_grad()
        avc_loss(model(pictures(3, 3, 37, 45), sounds()), torch.tensor([1, 0, 1])).backward()
        optimiser.step()
    return model.eval()


def paper_table(kind, *image):
    with torch.device("meta"):
        model = kind()
        table = layer_table(model, torch.empty(1, *image), torch.empty(1, 1, 257, 200))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert table.parameters.sum() == count
    return table[table.layer.str.startswith("vision.")], count


def test_frames_paper_sizes():
    rows, count = paper_table(AVENetMF, 3, 25, 224, 224)
    assert rows.layer.tolist() == [f"vision.{name}" for name in NAMES + LAST]
    times = [13, 13, 7, 7, 7, 4, 4, 4, 3, 3, 3]
    sides = [*BLOCK, (512, 14), (512, 14)]
    assert rows.output.tolist() == [(c, t, n, n) for (c, n), t in zip(sides, times, strict=True)] + [(512,)]
    channels = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    kernels = sum(27 * one * other for one, other in pairwise(channels))
    assert rows.parameters.sum() == kernels + 2 * 2 * (64 + 128 + 256 + 512)
    first = rows.set_index("layer").macs["vision.conv1_1"]
    assert first == 13 * 112 * 112 * 64 * 3 * 27
    assert count == 9_537_796 + 2 * kernels // 3


def test_flow_paper_sizes():
    rows, _ = paper_table(AVENetOF, 23, 224, 224)
    streams = [f"vision.{stream}.{name}" for stream in ("image", "flow") for name in NAMES]
    joint = ["joint.conv4_1", "joint.conv4_2", "pool4"]
    assert rows.layer.tolist() == [*streams, *(f"vision.{name}" for name in joint)]
    sizes = [(c, n, n) for c, n in BLOCK]
    assert rows.output.tolist() == sizes + sizes + [(512, 14, 14), (512, 14, 14), (512,)]
    rows = rows.set_index("layer")
    assert rows.parameters["vision.flow.conv1_1"] == 20 * 64 * 9 + 2 * 64
    assert rows.parameters["vision.joint.conv4_1"] == 2 * 256 * 512 * 9 + 2 * 512


@pytest.mark.parametrize("variant", ["2018", "2017"])
@pytest.mark.parametrize("training", [False, True])
def test_equal_frames_are_one_frame(variant, training):
    single = trained(variant=variant).double().train(training)
    video = AVENetMF.from_single_frame(single)
    assert video.training == training and video.variant == variant
    image = pictures(3, 3, 37, 45).double()  # odd sizes: height and width round as without time
    frames = image[:, :, None].expand(-1, -1, 25, -1, -1)
    torch.testing.assert_close(video.embed_image(frames), single.embed_image(image), rtol=0, atol=1e-9)
    heard = sounds().double()
    torch.testing.assert_close(video(frames, heard), single(image, heard), rtol=0, atol=1e-8)


def test_order_of_the_frames_matters_once_it_is_learned():
    torch.manual_seed(0)
    video = AVENetMF(width=2, size=8).eval()
    frames = pictures(2, 3, 25, 32, 32)
    assert not torch.allclose(video.embed_image(frames), video.embed_image(frames.flip(2)), atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_flow_is_ignored_at_the_start(training):
    single = trained().train(training)
    flow = AVENetOF.from_single_frame(single)
    assert flow.training == training
    image = pictures(3, 3, 37, 45)
    want = single(image, sounds())
    for fields in (torch.zeros(3, 20, 37, 45), 9 * pictures(3, 20, 37, 45) - 4):
        torch.testing.assert_close(flow(torch.cat([image, fields], 1), sounds()), want, rtol=0, atol=1e-5)
    std = flow.vision.trunk.flow.conv2_1.conv.weight.std().item()
    assert std == pytest.approx((2 / (4 * 9)) ** 0.5, rel=0.2)  # He's


@pytest.mark.parametrize(("call", "says"), [
    (lambda: small().embed_image(sounds()), r"VisionTower takes \(B, 3, H, W\), got \(3, 1, 65, 40\)"),
    (lambda: small().pairs(unit(3), unit(1)), "3 images and 1 audios make no pairs"),
    (lambda: AVENetMF(width=1).embed_image(torch.zeros(1, 3, 32, 32)), r"takes \(B, 3, T, H, W\), got"),
    (lambda: AVENetMF.from_single_frame(L3Net(width=1)), "takes an AVENet, got L3Net"),
])  # fmt: skip
def test_refusals(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
