"""VGG16: torchvision's network, its weights from a file, and smaller ones."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import VGG16_Weights, vgg16

from llinet_lite.features import to_image
from llinet_lite.rivals.vgg import VGG16, vgg16_imagenet


def test_it_is_torchvisions_vgg16():
    theirs = vgg16(weights=None, init_weights=False).eval()
    with torch.device("meta"):
        ours = VGG16(1000, batch_norm=False)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    ours.eval()
    assert sum(weight.numel() for weight in ours.parameters()) == 138_357_544
    image = torch.rand(1, 3, 224, 224)
    seen = VGG16_Weights.IMAGENET1K_V1.transforms(resize_size=224)(image)  # their normalization
    with torch.inference_mode():
        torch.testing.assert_close(ours(image), theirs(seen))


def test_images_of_another_size_are_resized_as_pillow_does():
    model = VGG16(3, 2, 64)
    model.features = model.classifier = torch.nn.Identity()  # what comes out is what the network is shown
    big = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(big).resize((64, 64), Image.Resampling.BILINEAR))
    expected = (small / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    shown = model(to_image(torch.from_numpy(big)[None])).reshape(3, 64, 64)
    np.testing.assert_allclose(shown.permute(1, 2, 0), expected, atol=1.1 / 255 / 0.224)


def test_weights_come_from_a_file_of_just_this_network(tmp_path):
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in vgg16(weights=None).state_dict().items()}
    flat = {name: torch.tensor(k / 1000).expand(shape) for k, (name, shape) in enumerate(shapes.items())}
    torch.save(flat, tmp_path / "mine.pth")  # one stored number per tensor
    model = vgg16_imagenet(tmp_path / "mine.pth")
    assert not model.training and not any(weight.requires_grad for weight in model.parameters())
    assert all(value.flatten()[0] == flat[name].flatten()[0] for name, value in model.state_dict().items())
    save_file(VGG16(3, 2, 32).state_dict(), tmp_path / "small.safetensors")
    with pytest.raises(ValueError, match=r"small.safetensors holds another network than torchvision's vgg16"):
        vgg16_imagenet(tmp_path / "small.safetensors")
    with pytest.raises(TypeError, match=r"VGG16 takes \(B, 3, H, W\) floats"):
        VGG16(2, 2, 32)(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="five pools leave nothing of 31 px"):
        VGG16(2, 2, 31)
