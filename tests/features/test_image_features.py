"""Pictures, their augmentation and their crops against the definitions."""

import pytest
import torch
from feature_fakes import draws

from llinet_lite.features import ImageAugment, centre_crop, random_crop, resize_short_side, to_image


def test_to_image():
    pixels = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    image = to_image(pixels)
    assert image.shape == (2, 3, 4, 5) and image.is_contiguous(memory_format=torch.channels_last)
    assert image[1, 2, 3, 4] == pixels[1, 3, 4, 2] / 255
    with pytest.raises(TypeError, match="uint8"):
        to_image(torch.zeros(2, 3, 4, 4))


def test_augmentation_in_the_middle_of_its_ranges_changes_nothing():
    image = torch.rand(3, 3, 6, 6)
    torch.testing.assert_close(ImageAugment()(image, draws(3)), image)


def test_flip_brightness_and_saturation():
    image = 0.25 + 0.5 * torch.rand(2, 3, 6, 6)
    augment = ImageAugment()
    torch.testing.assert_close(augment(image, draws(2, FLIP=[0.0, 0.9]))[0], image[0].flip(-1))
    torch.testing.assert_close(augment(image, draws(2, FLIP=[0.0, 0.9]))[1], image[1])
    torch.testing.assert_close(augment(image, draws(2, BRIGHTNESS=[0.0, 0.75]))[0], image[0] - 32 / 255)
    torch.testing.assert_close(augment(image, draws(2, BRIGHTNESS=[0.0, 0.75]))[1], image[1] + 16 / 255)
    weights = torch.tensor([0.299, 0.587, 0.114])
    grey = (image * weights[:, None, None]).sum(1, keepdim=True)
    half = augment(image, draws(2, SATURATION=0.0))
    torch.testing.assert_close(half, (image + grey) / 2)
    more = augment(image, draws(2, SATURATION=0.75))
    torch.testing.assert_close(more, (grey + 1.25 * (image - grey)).clamp(0, 1))


def test_order_of_brightness_and_saturation_is_drawn_and_range_is_kept():
    image = torch.rand(2, 3, 4, 4)
    first = ImageAugment()(image, draws(2, BRIGHTNESS=1.0, SATURATION=1.0, ORDER=0.1))
    second = ImageAugment()(image, draws(2, BRIGHTNESS=1.0, SATURATION=1.0, ORDER=0.9))
    assert not torch.equal(first, second)
    for result in (first, second):
        assert result.min() >= 0 and result.max() <= 1
    # brightness first: one factor for colours that were clipped at 1 before the saturation
    bright = (image + 32 / 255).clamp(0, 1)
    grey = (bright * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(first, (grey + 1.5 * (bright - grey)).clamp(0, 1))


def test_crops_take_every_place_equally():
    image = torch.arange(7 * 9).reshape(1, 1, 7, 9).expand(400, 3, 7, 9).float()
    table = torch.rand(400, 8, generator=torch.Generator().manual_seed(0))
    crop = random_crop(image, table, 4)
    assert crop.shape == (400, 3, 4, 4)
    corner = crop[:, 0, 0, 0].long()
    assert set((corner // 9).tolist()) == {0, 1, 2, 3} and set((corner % 9).tolist()) == {0, 1, 2, 3, 4, 5}
    counts = torch.bincount(corner % 9, minlength=6)
    assert counts.min() > 400 / 6 - 4 * (400 / 6) ** 0.5
    for sample, start in zip(crop[:20], corner[:20].tolist(), strict=True):
        top, left = divmod(start, 9)
        assert torch.equal(sample, image[0, :, top : top + 4, left : left + 4])
    edge = draws(1, CROP_Y=1 - 1e-9, CROP_X=1 - 1e-9)
    assert torch.equal(random_crop(image[:1], edge, 4), image[:1, :, 3:, 5:])
    assert torch.equal(centre_crop(image[:1], 3), image[:1, :, 2:5, 3:6])
    with pytest.raises(ValueError, match="does not fit into a picture of 7 x 9"):
        random_crop(image, table, 8)


@pytest.mark.parametrize(("shape", "want"), [((300, 512), (256, 437)), ((512, 300), (437, 256))])
def test_resize_short_side(shape, want):
    assert resize_short_side(torch.rand(1, 3, *shape), 256).shape == (1, 3, *want)
    same = torch.rand(1, 3, 256, 300)
    assert resize_short_side(same, 256) is same
