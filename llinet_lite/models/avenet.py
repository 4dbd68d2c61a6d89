"""AVE-Net: one space for images and audio, in which near means "belongs together"; with motion, too.

Notebook: 02
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal
from llinet_lite.models.towers import AudioTower, Tower, VisionTower, blocks, linear_head

EPSILON = 1e-8  # under the root: moves a distance of 0.1 by 5e-8


class Calibration(nn.Linear):
    """AVE-Net's fc3: a distance (...) -> two logits (..., 2), z_c = w_c d + b_c, in float32 at least.

    With `sign_init` the logits start at -3 d + 3.9 for "corresponds" and 3 d - 3.9 for "does not", equal at
    the distance 1.3; two random unit vectors are about 1.41 apart. The signs are not constrained later.
    """

    def __init__(self, sign_init: bool = True):
        super().__init__(1, 2)
        if sign_init:
            with torch.no_grad():
                self.weight.copy_(torch.tensor([[3.0], [-3.0]]))
                self.bias.copy_(torch.tensor([-3.9, 3.9]))

    def forward(self, distance: Tensor) -> Tensor:
        return full_precision(distance)[..., None] * self.weight[:, 0] + self.bias


class AVENet(nn.Module):
    r"""Two towers, two unit vectors, and their distance as the only thing that decides.

    .. math:: v = \frac{f(x)}{\lVert f(x) \rVert}, \quad a = \frac{g(s)}{\lVert g(s) \rVert}, \quad
              d = \sqrt{\lVert v - a \rVert^2 + \epsilon}, \quad z = w\,d + b

    with f and g a tower (global maximum at its end), fc1 with ReLU and fc2 without, and z the logits of the
    calibration layer fc3. Since d is all that the decision sees, training has to align the two: the
    embeddings serve retrieval as they are. The root makes d the distance itself, not its square; epsilon
    = 1e-8 keeps its gradient finite where the two coincide.

    Source: Arandjelovic and Zisserman, *Objects that Sound* (2018), Fig. 2d and section 3.3 ("Initialization
    for the AVE-Net"). 9.54 million parameters at width 64.

    Parameters
    ----------
    variant : "2018" (stride 2 in conv1_1, as published) or "2017" (stride 1)
    width : int, channels of the first block; 64 in the paper
    size : int, of the embedding; 128 in the paper, whatever the width
    sign_init : bool
        Start the calibration layer with the sign "small distance = corresponds". Nothing else asks for it:
        from the other sign the network can learn to put matching pairs far apart, as good for the loss and
        useless for retrieval. False shows that. The paper states the sign alone; the size is ours.
    """

    vision_tower: type[Tower] = VisionTower

    def __init__(self, variant: str = "2018", width: int = 64, size: int = 128, sign_init: bool = True):
        super().__init__()
        self.vision = self.vision_tower(variant, width)
        self.audio = AudioTower(variant, width)
        self.variant, self.width, self.size = variant, width, size
        self.vision_head = linear_head(self.vision.features, size)
        self.audio_head = linear_head(self.audio.features, size)
        self.fc3 = Calibration(sign_init)

    def embed_image(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) float in [0, 1] -> embeddings (B, size) of length 1, float32 or float64."""
        return F.normalize(full_precision(self.vision_head(self.vision(image))), dim=-1)

    def embed_audio(self, spectrogram: Tensor) -> Tensor:
        """Log-spectrogram (B, 1, F, T) -> embeddings (B, size) of length 1, float32 or float64."""
        return F.normalize(full_precision(self.audio_head(self.audio(spectrogram))), dim=-1)

    def distance(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Euclidean distance of pair i = (image i, audio i): two times (B, size) -> (B,) in [0, 2]."""
        refuse_unequal(image_embeddings, audio_embeddings)
        return _euclidean(image_embeddings, audio_embeddings)

    def distances(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Euclidean distance of every image to every audio: (B, size), (C, size) -> (B, C) in [0, 2].

        The differences are formed one by one, B C size numbers: exact also for near vectors, where
        sqrt(2 - 2 v.a) loses half of the digits.
        """
        return _euclidean(image_embeddings[:, None], audio_embeddings[None])  # (B, 1, size), (1, C, size)

    @property
    def slope(self) -> float:
        """Logit of "corresponds" less that of "does not", per unit of distance; negative: near = match."""
        return (self.fc3.weight[1, 0] - self.fc3.weight[0, 0]).item()

    @property
    def threshold(self) -> float:
        """The distance where both logits are equal; outside [0, 2] every pair gets the same answer."""
        shift = (self.fc3.bias[1] - self.fc3.bias[0]).detach()
        return (-shift / self.slope).item()

    def pairs(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Judge pair i = (image i, audio i): two times (B, size) -> logits (B, 2)."""
        return self.fc3(self.distance(image_embeddings, audio_embeddings))

    def all_pairs(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Judge every image with every audio: (B, size), (C, size) -> logits (B, C, 2)."""
        return self.fc3(self.distances(image_embeddings, audio_embeddings))

    def forward(self, image: Tensor, spectrogram: Tensor) -> Tensor:
        """Judge pair i: (B, 3, H, W) in [0, 1], (B, 1, F, T) -> logits (B, 2); class 1 = corresponds."""
        refuse_unequal(image, spectrogram)
        return self.pairs(self.embed_image(image), self.embed_audio(spectrogram))


def _euclidean(one: Tensor, other: Tensor) -> Tensor:
    if one.shape[-1] != other.shape[-1]:
        raise ValueError(f"Embeddings of {one.shape[-1]} and {other.shape[-1]} numbers have no distance.")
    return ((one - other).square().sum(-1) + EPSILON).sqrt()


# ---- with motion

FLOW_CHANNELS = 20  # ten flow fields, each with a horizontal and a vertical part


class VideoTower(Tower):
    """Frames (B, 3, T, H, W) -> features (B, 8 width): the vision tower with a time axis.

    The paper turns all vision convolutions from 2-D to 3-D and gives no temporal sizes. Ours: kernels 3x3x3;
    stride 2 in conv1_1 and pools 2x2x2 in time as in space. 25 frames become 13, 7, 4 and 3.
    """

    channels, axes = 3, 3
    first_padding = (1, 1, 1)


class FlowTower(Tower):
    """Image and flow (B, 23, H, W) -> features (B, 8 width): two streams, fused before conv4_1.

    Three blocks with weights of their own for the image (channels 0 to 2) and for the flow (the other 20);
    their 14 x 14 x 256 maps side by side are the 14 x 14 x 512 that conv4_1 takes (at 224 px, width 64).
    """

    channels = 3 + FLOW_CHANNELS
    first_padding = (1, 1)

    def layers(self, first: dict) -> nn.Module:
        return _TwoStreams(self.width, first)


class _TwoStreams(nn.Module):
    def __init__(self, width: int, first: dict):
        super().__init__()
        self.image = blocks(3, width, (1, 2, 3), **first)
        self.flow = blocks(FLOW_CHANNELS, width, (1, 2, 3), **first)
        self.joint = blocks(2 * 4 * width, width, (4,))

    def forward(self, x: Tensor) -> Tensor:
        image, flow = x.split([3, FLOW_CHANNELS], dim=1)
        return self.joint(torch.cat([self.image(image), self.flow(flow)], dim=1))  # 2 x (B, 4 width, h, w)


class AVENetMF(AVENet):
    """AVE-Net on several frames: `embed_image` takes (B, 3, T, H, W), T = 25 in the paper (one second).

    Source: *Objects that Sound* (2018), section 3.2 "Multi-frame"; temporal sizes are ours, see `VideoTower`.
    18.9 million parameters at width 64.
    """

    vision_tower = VideoTower

    @classmethod
    def from_single_frame(cls, network: AVENet) -> AVENetMF:
        """Return a copy of an AVE-Net that takes frames and, at first, answers as if it saw one.

        Each 2-D kernel becomes the middle of the 3-D one, with zeros before and after. (Spread evenly over
        time it would take in the zeros of the padding at both ends.) The paper trains from scratch.
        """
        copy = _like(cls, network)
        single = network.vision.state_dict()
        for name, value in copy.vision.state_dict().items():
            if value.ndim == 5:  # (outside, inside, 3, 3) -> (outside, inside, 3, 3, 3)
                value.zero_()
                value[:, :, 1] = single[name]
            else:
                value.copy_(single[name])
        return copy


class AVENetOF(AVENet):
    """AVE-Net on a frame and its optical flow: `embed_image` takes (B, 3 + 20, H, W).

    Channels 3 + 2k and 4 + 2k are the horizontal and vertical part of flow field k = 0 ... 9, in any unit.
    Source: *Objects that Sound* (2018), section 3.2 "Optical flow" and appendix B; see `FlowTower`.
    """

    vision_tower = FlowTower

    @classmethod
    def from_single_frame(cls, network: AVENet) -> AVENetOF:
        """Return a copy of an AVE-Net that takes flow, too, and at first answers as if it did not.

        The flow stream starts with He's weights, but conv4_1 takes it in with zeros. These have a gradient:
        after the first step the flow stream has one, too. The paper trains from scratch.
        """
        copy = _like(cls, network)
        single, streams = network.vision.trunk, copy.vision.trunk
        for name, layer in streams.image.named_children():
            layer.load_state_dict(getattr(single, name).state_dict())
        for name, value in streams.joint.state_dict().items():
            source = single.state_dict()[name]
            if value.shape != source.shape:  # conv4_1: image half, flow half
                value.zero_()
                value = value[:, : source.shape[1]]
            value.copy_(source)
        return copy


def _like(kind: type[AVENet], network: AVENet) -> AVENet:
    """Return a network of `kind` that shares all values of `network` but those of the vision tower."""
    if type(network) is not AVENet:
        raise TypeError(f"{kind.__name__}.from_single_frame takes an AVENet, got {type(network).__name__}.")
    copy = kind(network.variant, network.width, network.size).to(network.fc3.weight)
    for part in ("audio", "vision_head", "audio_head", "fc3"):
        getattr(copy, part).load_state_dict(getattr(network, part).state_dict())
    return copy.train(network.training)
