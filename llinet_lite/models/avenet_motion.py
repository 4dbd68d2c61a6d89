"""AVE-Net that sees motion: 25 frames with 3-D convolutions, or one frame beside ten fields of optical flow.

Notebook: 02
"""

import torch
from torch import Tensor, nn

from llinet_lite.models.avenet import AVENet
from llinet_lite.models.towers import Tower, blocks

__all__ = ["AVENetMF", "AVENetOF", "FlowTower", "VideoTower"]

FLOW_CHANNELS = 20  # ten flow fields, each with a horizontal and a vertical part


class VideoTower(Tower):
    """Frames (B, 3, T, H, W) -> features (B, 8 width): the vision tower with a time axis.

    The paper turns all vision convolutions from 2-D to 3-D and gives no temporal sizes. Ours: kernels 3x3x3;
    stride 2 in conv1_1 and pools 2x2x2 in time as in space; the global maximum over both. No frame is left
    out: 25 frames become 13, 7, 4 and 3, and any number from 1 on will do.
    """

    channels, axes = 3, 3
    first_padding = (1, 1, 1)


class FlowTower(Tower):
    """Picture and flow (B, 23, H, W) -> features (B, 8 width): two streams, fused before conv4_1.

    Three blocks with weights of their own for the picture (channels 0 to 2) and for the flow (the other 20);
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

    Source: *Objects that Sound* (2018), section 3.2 "Multi-frame"; temporal sizes are ours, see
    :class:`VideoTower`. Arguments as for :class:`~llinet_lite.models.AVENet`. 18.9 million
    parameters at width 64.

    Notebook: 02
    """

    vision_tower = VideoTower

    @classmethod
    def from_single_frame(cls, network: AVENet) -> "AVENetMF":
        """Return a copy of an AVE-Net that takes frames and, at first, answers as if it saw one.

        Each 2-D kernel becomes the middle of the 3-D one, with zeros before and after: 25 times the same
        frame gives what `network` gives for that frame. (A kernel spread evenly over time would not: at both
        ends of the clip it would take in the zeros of the padding.) The paper trains from scratch.
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

    Channels 0 to 2 are the picture in [0, 1]; channels 3 + 2k and 4 + 2k the horizontal and vertical part of
    flow field k = 0 ... 9. The flow's unit is free: batch normalisation follows conv1_1.

    Source: *Objects that Sound* (2018), section 3.2 "Optical flow" and appendix B; see :class:`FlowTower`.
    11.9 million parameters at width 64.

    Notebook: 02
    """

    vision_tower = FlowTower

    @classmethod
    def from_single_frame(cls, network: AVENet) -> "AVENetOF":
        """Return a copy of an AVE-Net that takes flow, too, and at first answers as if it did not.

        The flow stream starts with He's weights (from torch's generator), but conv4_1 takes it in with zeros,
        so the answer for any flow is that of `network`. The zeros have a gradient: after the first step the
        flow stream has one, too. The paper trains from scratch.
        """
        copy = _like(cls, network)
        single, streams = network.vision.trunk, copy.vision.trunk
        for name, layer in streams.image.named_children():
            layer.load_state_dict(getattr(single, name).state_dict())
        for name, value in streams.joint.state_dict().items():
            source = single.state_dict()[name]
            if value.shape != source.shape:  # conv4_1: picture half, flow half
                value.zero_()
                value = value[:, : source.shape[1]]
            value.copy_(source)
        return copy


def _like(kind: type[AVENet], network: AVENet) -> AVENet:
    """Return a network of `kind` that shares all values of `network` but those of the vision tower."""
    if type(network) is not AVENet:
        raise TypeError(
            f"{kind.__name__}.from_single_frame takes an AVENet, got {type(network).__name__}; "
            "train one, or build it with its variant and width."
        )
    copy = kind(network.variant, network.width, network.size).to(network.fc3.weight)
    for part in ("audio", "vision_head", "audio_head", "fc3"):
        getattr(copy, part).load_state_dict(getattr(network, part).state_dict())
    return copy.train(network.training)
