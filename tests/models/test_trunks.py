"""Trunks against torchvision's own networks; weights from files, whole, partial and wrong."""

import copy
import hashlib

import pytest
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file

from llinet_lite.models import Trunk, trunks
from llinet_lite.models.trunks import LITE, TITLES, build_trunk, lite_weights, load_trunk_weights

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
# name, size of the picture, early, late, top
SIZES = [
    ("resnet18", 224, (128, 28, 28), (256, 14, 14), (512, 7, 7)),
    ("resnet34", 224, (128, 28, 28), (256, 14, 14), (512, 7, 7)),
    ("resnet50", 224, (512, 28, 28), (1024, 14, 14), (2048, 7, 7)),
    ("resnet101", 244, (512, 31, 31), (1024, 16, 16), (2048, 8, 8)),
    ("squeezenet1_0", 224, (256, 27, 27), (512, 27, 27), (512, 13, 13)),
    ("mobilenet_v2", 224, (32, 28, 28), (96, 14, 14), (1280, 7, 7)),
    ("efficientnet_lite0", 224, (40, 28, 28), (112, 14, 14), (1280, 7, 7)),
    ("standin", 112, (32, 28, 28), (64, 14, 14), (128, 7, 7)),
]


def pictures(count=2, side=64, seed=1):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def tiny(seed=0, **options):
    torch.manual_seed(seed)
    return Trunk("standin", **{"width": 2, "classes": 3, **options})


def statistics(trunk):
    return {key: value.clone() for key, value in trunk.named_buffers() if "running" in key}


@pytest.mark.parametrize(("name", "side", *"elt"), SIZES)
def test_sizes_of_the_taps(name, side, e, l, t):  # noqa: E741
    with torch.device("meta"):
        trunk, image = Trunk(name).eval(), torch.empty(2, 3, side, side)
        early = trunk.early(image)
        late = trunk.late(early)
        top = trunk.top(late)
        assert trunk.pool(top).shape == (2, trunk.features)
        assert trunk.logits(top).shape == trunk(image).shape == (2, 1000)
    assert (early.shape, late.shape, top.shape) == ((2, *e), (2, *l), (2, *t))
    assert (trunk.early_channels, trunk.local_channels, trunk.features) == (e[0], l[0], t[0])
    assert trunk.title.startswith(TITLES[name]) and trunk.title.endswith(", untrained")


@pytest.mark.parametrize("name", [name for name in TITLES if name not in ("standin", LITE)])
def test_the_taps_in_a_row_are_torchvisions_network(name):
    torch.manual_seed(0)
    trunk = Trunk(name).eval()
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)().eval()
    theirs.load_state_dict(trunk.network.state_dict(), assign=True)  # the names are torchvision's
    with torch.inference_mode():
        got = trunk.logits(trunk.top(trunk.late(trunk.early(pictures()))))
        torch.testing.assert_close(got, theirs((pictures() - MEAN) / STD), rtol=1e-4, atol=1e-5)
        assert got.std() > 0


def test_efficientnet_lite_is_its_packages_network_and_loads_by_hash():
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()  # padded for 224 px
    theirs.load_state_dict(torch.load(lite_weights(), weights_only=True))
    trunk, image = build_trunk(LITE, lite_weights()).eval(), pictures(side=224)
    with torch.inference_mode():
        got, wanted = trunk(image), theirs((255 * image - 127) / 128)
    assert trunk.title == "EfficientNet-Lite0, ImageNet" and wanted.std() > 1
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert hashlib.sha256(lite_weights().read_bytes()).hexdigest().startswith("579344248a93e230")


def test_the_standin_is_resnet18_without_its_first_maximum():
    """At width 64 it takes ResNet-18's weights; with the maximum back it gives ResNet-18's logits."""
    torch.manual_seed(0)
    theirs, trunk = torchvision.models.resnet18(num_classes=5).eval(), Trunk("standin", width=64, classes=5)
    trunk.eval().network.load_state_dict(theirs.state_dict())
    image = pictures()
    with torch.inference_mode():
        halves = trunk.early(image)
        assert halves.shape == (2, 128, 16, 16)  # twice ResNet-18's
        stem = theirs.relu(theirs.bn1(theirs.conv1((image - MEAN) / STD)))
        torch.testing.assert_close(halves, theirs.layer2(theirs.layer1(stem)))
        torch.testing.assert_close(trunk.logits(trunk.top(trunk.late(halves))), trunk(image))
        expected = theirs.fc(theirs.layer4(theirs.layer3(halves)).mean((2, 3)))
        torch.testing.assert_close(trunk(image), expected)


@pytest.mark.parametrize("frozen_bn", ["eval", "train"])
def test_a_frozen_trunk_keeps_its_weights_and_its_statistics_as_asked(frozen_bn):
    parent = torch.nn.Sequential(tiny(frozen_bn=frozen_bn).freeze())
    trunk = parent[0]
    assert not any(weight.requires_grad for weight in trunk.parameters())
    for mode in (True, False):
        parent.train(mode)
        before = statistics(trunk)
        parent(pictures(4))
        after = statistics(trunk)
        moved = {not torch.equal(after[key], before[key]) for key in before}
        assert moved == {mode and frozen_bn == "train"}


@pytest.mark.parametrize("form", ["pth", "safetensors", "half", "uncounted", "saved trunk"])
def test_a_whole_file(tmp_path, form):
    source, path = tiny(seed=1).eval(), tmp_path / "standin_seen.safetensors"
    source.network.bn1.running_mean.fill_(0.25)
    state = source.network.state_dict()
    if form == "pth":
        torch.save(state, path := path.with_suffix(".pth"))
    else:
        if form == "half":
            state = {key: x.half() if x.is_floating_point() else x for key, x in state.items()}
        if form == "uncounted":
            state = {key: value for key, value in state.items() if "num_batches" not in key}
        save_file(source.state_dict() if form == "saved trunk" else state, path)
    trunk = build_trunk("standin", path, width=2, classes=3)
    assert trunk.frozen and trunk.title == "stand-in of width 2, standin_seen"
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if form == "half" else {}
    torch.testing.assert_close(trunk.eval()(pictures()), source(pictures()), **tolerance)
    assert trunk.network.conv1.weight.dtype == torch.float32


def test_a_file_without_classifier_has_features_and_no_logits(tmp_path):
    source, trunk = tiny(seed=1).eval(), tiny().eval()
    state = {key: value for key, value in source.network.state_dict().items() if not key.startswith("fc.")}
    save_file(state, path := tmp_path / "body.safetensors")
    assert load_trunk_weights(trunk, path) is trunk and trunk.classes == 0
    torch.testing.assert_close(trunk.early(pictures()), source.early(pictures()))
    with pytest.raises(ValueError, match=r"stand-in of width 2, body: its weights came without a classifier"):
        trunk(pictures())
    assert not any("fc" in key for key in trunk.state_dict())  # no random classifier goes into a file


def test_another_network_or_a_part_is_refused_and_changes_nothing(tmp_path):
    state = tiny(seed=1).network.state_dict()

    def without(name):
        return {key: value for key, value in state.items() if key != name}

    files = {
        r"lacks 1 tensors \(layer3.1.conv2.weight ...\)": without("layer3.1.conv2.weight"),
        r"lacks 1 tensors \(fc.bias": without("fc.bias"),
        r"has besides 1 tensors \(layer5": {**state, "layer5": torch.ones(1)},
        r"in another size \d+ tensors \(conv1.weight": tiny(width=3).network.state_dict(),
        r"in another size 2 tensors \(fc.weight": tiny(classes=4).network.state_dict(),
        "holds another network than standin": torchvision.models.squeezenet1_0().state_dict(),
    }
    trunk = tiny()
    before = copy.deepcopy(trunk.state_dict())
    for said, wrong in files.items():
        torch.save(wrong, tmp_path / "wrong.pth")
        with pytest.raises(ValueError, match=said):
            load_trunk_weights(trunk, tmp_path / "wrong.pth")
        assert all(torch.equal(value, before[key]) for key, value in trunk.state_dict().items())
        assert trunk.classes == 3 and trunk.title == "stand-in of width 2, untrained"


def test_torchvisions_own_file_must_be_whole(tmp_path, monkeypatch):
    path = tmp_path / "squeezenet1_0-b66bff10.pth"
    torch.save(torchvision.models.squeezenet1_0().state_dict(), path)
    with pytest.raises(ValueError, match=r"b66bff10.pth is damaged: its sha256 starts with [0-9a-f]{8}\."):
        build_trunk("squeezenet1_0", path)

    class Hash:
        def hexdigest(self):
            return "b66bff10" + 56 * "0"

    monkeypatch.setattr(trunks.hashlib, "file_digest", lambda *_: Hash())
    assert build_trunk("squeezenet1_0", path).title == "SqueezeNet 1.0, ImageNet"


@pytest.mark.parametrize(
    ("state", "says"),
    [({"epoch": 3}, "holds more than named tensors"), (b"no weights", "cannot be read as weights")],
)
def test_files_that_are_no_weights_are_refused(tmp_path, state, says):
    path = tmp_path / "wrong.pth"
    path.write_bytes(state) if isinstance(state, bytes) else torch.save(state, path)
    with pytest.raises(ValueError, match=says):
        load_trunk_weights(tiny(), path)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: Trunk("vgg16"), r"trunk 'vgg16' is unknown; choose one of 'resnet18', .*'standin'"),
    (lambda: tiny(frozen_bn="off"), "frozen_bn 'off' is unknown; choose one of 'eval', 'train'"),
    (lambda: tiny()(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)), r"got \(1, 3, 8, 8\) torch.uint8"),
])  # fmt: skip
def test_refusals(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
