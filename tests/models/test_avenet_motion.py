"""AVE-Net with frames and with optical flow: sizes, and the single-frame network as a special case."""

from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file

from llinet_lite.losses import avc_loss
from llinet_lite.models import AVENet, AVENetMF, AVENetOF, L3Net, layer_table

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
    torch.testing.assert_close(
        video(frames, sounds().double()), single(image, sounds().double()), rtol=0, atol=1e-8
    )


def test_equal_frames_are_one_frame_in_float32():
    single = trained()
    frames = pictures(3, 3, 1, 32, 32).expand(-1, -1, 25, -1, -1)
    video = AVENetMF.from_single_frame(single)
    torch.testing.assert_close(
        video.embed_image(frames), single.embed_image(frames[:, :, 0]), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("where", [0, 7, 24])
def test_every_frame_can_matter(where):
    torch.manual_seed(0)
    video = AVENetMF(width=2, size=8).eval()
    frames = pictures(1, 3, 25, 32, 32)
    other = frames.clone()
    other[:, :, where] = 5.0
    assert not torch.allclose(video.embed_image(frames), video.embed_image(other), atol=1e-4)


def test_order_of_the_frames_matters_once_it_is_learned():
    torch.manual_seed(0)
    video = AVENetMF(width=2, size=8).eval()
    frames = pictures(2, 3, 25, 32, 32)
    assert not torch.allclose(video.embed_image(frames), video.embed_image(frames.flip(2)), atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 8, 25])
def test_any_number_of_frames(frames):
    torch.manual_seed(0)
    video = AVENetMF(width=1, size=8).eval()
    out = video.embed_image(pictures(2, 3, frames, 32, 32))
    assert out.shape == (2, 8) and torch.isfinite(out).all()


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


def test_flow_stream_learns_after_the_first_step():
    flow = AVENetOF.from_single_frame(trained()).train()
    x, sound = torch.cat([pictures(3, 3, 32, 32), pictures(3, 20, 32, 32, seed=5)], 1), sounds()
    optimiser = torch.optim.Adam(flow.parameters(), 1e-3)
    weight, moved = flow.vision.trunk.flow.conv1_1.conv.weight, []
    for _ in range(2):
        optimiser.zero_grad()
        avc_loss(flow(x, sound), torch.tensor([1, 0, 1])).backward()
        moved.append(weight.grad.abs().sum().item())
        optimiser.step()
    assert moved[0] == 0 < moved[1]
    flow.eval()
    other = torch.cat([x[:, :3], x[:, 3:].flip(0)], 1)
    assert not torch.allclose(flow.embed_image(x), flow.embed_image(other))


def test_streams_have_their_own_weights_and_channels():
    torch.manual_seed(0)
    model = AVENetOF(width=2, size=8).double().eval()
    x = pictures(1, 23, 32, 32).double().requires_grad_()
    model.vision.trunk.image(x[:, :3]).sum().backward()
    assert model.vision.trunk.flow.conv1_1.conv.weight.grad is None
    gradient = torch.autograd.grad(model.embed_image(x).square()[:, :4].sum(), x)[0]
    assert (gradient.abs().sum((0, 2, 3)) > 0).all()


@pytest.mark.parametrize("kind", [AVENetMF, AVENetOF])
def test_copy_shares_values_not_memory(kind):
    single = trained()
    before = {name: value.clone() for name, value in single.state_dict().items()}
    copy = kind.from_single_frame(single)
    for part in ("audio", "vision_head", "audio_head", "fc3"):
        for name, value in getattr(single, part).state_dict().items():
            assert torch.equal(value, getattr(copy, part).state_dict()[name])
    assert copy.threshold == single.threshold and (copy.width, copy.size) == (4, 16)
    with torch.no_grad():
        for value in copy.state_dict().values():
            value.add_(1)
    assert all(torch.equal(before[name], value) for name, value in single.state_dict().items())


@pytest.mark.parametrize(("kind", "image"), [(AVENetMF, (3, 5)), (AVENetOF, (23,))])
def test_seed_file_pairs_and_gradient(kind, image, tmp_path):
    def make(seed):
        torch.manual_seed(seed)
        return kind(width=2, size=8)

    model, same, other = make(3).eval(), make(3).eval(), make(4).eval()
    x, sound = pictures(3, *image, 32, 32), sounds()
    assert torch.equal(model(x, sound), same(x, sound))
    assert not torch.equal(model(x, sound), other(x, sound))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(model(x, sound), other(x, sound))
    v, a = model.embed_image(x), model.embed_audio(sound)
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(model.all_pairs(v, a).diagonal().T, model(x, sound))
    model.train()
    model(x, sound)[:, 1].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_refusals_are_sentences():
    with pytest.raises(ValueError, match=r"VideoTower takes \(B, 3, T, H, W\), got \(1, 3, 32, 32\)"):
        AVENetMF(width=1).embed_image(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"FlowTower takes \(B, 23, H, W\), got \(1, 3, 32, 32\)"):
        AVENetOF(width=1).embed_image(torch.zeros(1, 3, 32, 32))
    with pytest.raises(TypeError, match=r"AVENetMF\.from_single_frame takes an AVENet, got L3Net"):
        AVENetMF.from_single_frame(L3Net(width=1))
    with pytest.raises(TypeError, match=r"AVENetOF\.from_single_frame takes an AVENet, got AVENetMF"):
        AVENetOF.from_single_frame(AVENetMF(width=1))
