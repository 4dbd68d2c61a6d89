"""From waveform, picture and motion to what the networks see, in batches, on the device.

Everything here is a function of its arguments: augmentation takes its randomness from `draws`, uniform
numbers in [0, 1) that the batch carries, so a training step is a function of (seed, epoch, index) and can be
repeated exactly.

Notebook: 01 (log-spectrogram, augmentation), 02 (frames, optical flow), 04 (log-mel).
"""

from llinet_lite.features.draws import Draw
from llinet_lite.features.image import (
    ImageAugment,
    centre_crop,
    random_crop,
    resize_short_side,
    standardise,
    to_image,
)
from llinet_lite.features.motion import augment_frames, flip_flow, to_flow, to_frames
from llinet_lite.features.sound import AudioGain, LogMel, LogSpectrogram, to_waveform
from llinet_lite.features.vggish import VGGishExamples

__all__ = [
    "AudioGain",
    "Draw",
    "ImageAugment",
    "LogMel",
    "LogSpectrogram",
    "VGGishExamples",
    "augment_frames",
    "centre_crop",
    "flip_flow",
    "random_crop",
    "resize_short_side",
    "standardise",
    "to_flow",
    "to_frames",
    "to_image",
    "to_waveform",
]
