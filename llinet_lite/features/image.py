"""From picture to tensor, in batches, on the device.

Notebook: 01
"""

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.features.draws import Draw, column_of


def to_image(images: Tensor) -> Tensor:
    """Pixels of photographs to numbers in [0, 1], colours first.

    Parameters
    ----------
    images : Tensor (B, H, W, 3) uint8

    Returns
    -------
    Tensor (B, 3, H, W) float32 in [0, 1]; the memory order stays that of the input, which is channels_last
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        found = f"{tuple(images.shape)} {images.dtype}"
        raise TypeError(f"to_image takes (B, H, W, 3) uint8 pictures, got {found}; reorder or convert them.")
    return images.permute(0, 3, 1, 2).to(torch.float32) / 255.0  # (B, H, W, 3) -> (B, 3, H, W)


def standardise(image: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Subtract the mean of every colour and divide by its deviation, as networks of ImageNet want pictures.

    As torchvision's `normalize`, bit for bit, but the numbers are sent to a GPU once, not in every step:
    sending them makes the CPU wait until the GPU has done all its work.

    Parameters
    ----------
    image : Tensor (B, 3, H, W) float in [0, 1]
    mean, deviation : (3,) float

    Returns
    -------
    Tensor (B, 3, H, W)

    Notebook: 04
    """
    middle, spread = (_colours(tuple(values), image.device, image.dtype) for values in (mean, deviation))
    return (image - middle) / spread


@cache
def _colours(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Three numbers as (3, 1, 1)."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).reshape(3, 1, 1)


class ImageAugment(nn.Module):
    """Flip, brightness and saturation, each decided by its column of `draws`.

    Brightness adds up to `brightness` to every colour, saturation moves each pixel from or to its grey value
    by a factor in `saturation`; which of the two comes first is drawn too. The papers name these changes
    without their strengths; +-32/255 and [0.5, 1.5] are those of the Inception networks of the same time.

    Parameters
    ----------
    flip : bool, mirror half of the pictures
    brightness : float, largest step, in units of the [0, 1] range
    saturation : (float, float), smallest and largest factor

    Notebook: 01
    """

    def __init__(self, flip: bool = True, brightness: float = 32 / 255, saturation=(0.5, 1.5)):
        super().__init__()
        self.flip, self.brightness, self.saturation = flip, brightness, tuple(saturation)
        grey = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)  # ITU-R BT.601
        self.register_buffer("grey", grey, persistent=False)

    def _saturate(self, image: Tensor, factor: Tensor) -> Tensor:
        grey = (image * self.grey.to(image)).sum(1, keepdim=True)  # (B, 3, H, W) -> (B, 1, H, W)
        return torch.lerp(grey, image, factor).clamp(0, 1)

    def forward(self, image: Tensor, draws: Tensor) -> Tensor:
        """Change a batch of pictures.

        Parameters
        ----------
        image : Tensor (B, 3, H, W) float in [0, 1]
        draws : Tensor (B, 8) uniform in [0, 1)

        Returns
        -------
        Tensor (B, 3, H, W) in [0, 1]
        """
        if self.flip:
            image = torch.where(column_of(draws, Draw.FLIP, image, ndim=4) < 0.5, image.flip(-1), image)
        step = (2 * column_of(draws, Draw.BRIGHTNESS, image, ndim=4) - 1) * self.brightness
        low, high = self.saturation
        factor = low + (high - low) * column_of(draws, Draw.SATURATION, image, ndim=4)
        first = column_of(draws, Draw.ORDER, image, ndim=4) < 0.5  # brightness first?
        image = (image + torch.where(first, step, 0.0)).clamp(0, 1)
        image = self._saturate(image, factor)
        return (image + torch.where(first, 0.0, step)).clamp(0, 1)


def resize_short_side(image: Tensor, size: int = 256) -> Tensor:
    """Scale a batch of equally large pictures so that the shorter side is `size` pixels.

    Parameters
    ----------
    image : Tensor (B, 3, H, W) float
    size : int, pixels

    Returns
    -------
    Tensor (B, 3, H', W') with min(H', W') == size, anti-aliased
    """
    height, width = image.shape[-2:]
    scale = size / min(height, width)
    shape = (size, round(width * scale)) if height <= width else (round(height * scale), size)
    if shape == (height, width):
        return image
    return F.interpolate(image, shape, mode="bilinear", align_corners=False, antialias=True)


def _check_crop(image: Tensor, size: int) -> tuple[int, int]:
    spare = image.shape[-2] - size, image.shape[-1] - size
    if min(spare) < 0:
        raise ValueError(
            f"A crop of {size} pixels does not fit into a picture of {image.shape[-2]} x {image.shape[-1]}; "
            "use resize_short_side first or ask for a smaller crop."
        )
    return spare


def centre_crop(image: Tensor, size: int = 224) -> Tensor:
    """Cut the middle (B, 3, size, size) out of (B, 3, H, W)."""
    spare_y, spare_x = _check_crop(image, size)
    top, left = spare_y // 2, spare_x // 2
    return image[..., top : top + size, left : left + size]


def random_crop(image: Tensor, draws: Tensor, size: int = 224) -> Tensor:
    """Cut one square out of each picture, at the place its `draws` say; every place is equally likely.

    Parameters
    ----------
    image : Tensor (B, 3, H, W)
    draws : Tensor (B, 8) uniform in [0, 1)
    size : int, pixels

    Returns
    -------
    Tensor (B, 3, size, size)
    """
    spare_y, spare_x = _check_crop(image, size)
    place = draws.to(image.device, torch.float64)
    top = (column_of(draws, Draw.CROP_Y, place, ndim=1) * (spare_y + 1)).long().clamp(max=spare_y)
    left = (column_of(draws, Draw.CROP_X, place, ndim=1) * (spare_x + 1)).long().clamp(max=spare_x)
    steps = torch.arange(size, device=image.device)
    sample = torch.arange(len(image), device=image.device)[:, None, None]
    rows, columns = (top[:, None] + steps)[:, :, None], (left[:, None] + steps)[:, None, :]
    cropped = image.permute(0, 2, 3, 1)[sample, rows, columns]  # (B, H, W, 3) -> (B, size, size, 3)
    return cropped.permute(0, 3, 1, 2)
