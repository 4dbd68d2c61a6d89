"""Speed of the training step of the correspondence networks, in the papers' size and smaller.

Notebook: 01, 02
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from llinet_lite.bench.core import Row, rates
from llinet_lite.features import LogSpectrogram, to_image, to_waveform
from llinet_lite.losses import all_pairs_avc_loss
from llinet_lite.models import AVENet, L3Net
from llinet_lite.profiles import PROFILES, Profile

NETWORKS = {"L3-Net": L3Net, "AVE-Net": AVENet}


def _step(
    network: str,
    profile: Profile,
    device: torch.device,
    batch: int,
    bf16: bool,
    ours: bool,
    compiled: bool = False,
) -> Callable[[], int]:
    """One training step on random data, to be called again and again; see :func:`training_row`."""
    from llinet_lite.training import adam

    rng = torch.Generator().manual_seed(0)
    side, rate = profile.image_crop, profile.sample_rate
    images = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, generator=rng).to(device)
    audio = torch.randint(-9000, 9000, (batch, rate), dtype=torch.int16, generator=rng).to(device)
    group = torch.arange(batch, device=device)
    transform = LogSpectrogram(rate, profile.window / rate, profile.hop / rate, profile.n_fft, profile.frames)
    order = torch.channels_last if ours and bf16 else torch.contiguous_format
    model = NETWORKS[network](width=profile.width).to(device, memory_format=order)
    optimiser = adam(profile.learning_rate, profile.weight_decay)(model.parameters())

    def loss_of_batch() -> torch.Tensor:
        image, sound = to_image(images), transform(to_waveform(audio))
        image = image if ours else image.contiguous()
        logits = model.all_pairs(model.embed_image(image), model.embed_audio(sound))
        return all_pairs_avc_loss(logits, group)

    forward = torch.compile(loss_of_batch) if compiled else loss_of_batch

    def step() -> int:
        with torch.autocast(device.type, torch.bfloat16, enabled=ours and bf16):
            loss = forward()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return batch

    return step


def training_row(
    network: str, profile: Profile, device: torch.device, batch: int, *, repeats: int = 3
) -> Row:
    """Pairs per second of a network's training step: pixels and samples in, weights updated.

    Loss (all pairs of the batch) and optimiser are the same on both sides; ours computes in the precision
    and the memory order that :func:`llinet_lite.training.fit` chooses here, the plain loop in float32 and
    contiguous memory. Where fit chooses float32, the two differ in the pictures' memory order alone.

    Parameters
    ----------
    network : "L3-Net" or "AVE-Net"
    profile : Profile
    device : torch.device
    batch : int, pairs
    repeats : int, rounds of one step each
    """
    from llinet_lite.training import choose_precision

    precision = choose_precision(device)
    bf16 = precision == "bf16-mixed"
    ways = [_step(network, profile, device, batch, bf16, ours) for ours in (True, False)]
    ours, plain = rates(ways, repeats=repeats)
    size = "paper" if profile.name == "gpu" else profile.name
    name = f"{network} step, {size} size: {profile.image_crop} px, width {profile.width}, batch {batch}"
    what = f"{precision}, channels_last {'network' if bf16 else 'pictures'}, {device.type}"
    return Row(name, "pairs/s", ours, plain, f"float32, contiguous (ours: {what})")


def compiled_row(
    network: str, profile: Profile, device: torch.device, batch: int, *, repeats: int = 3
) -> Row:
    """Pairs per second of a network's training step as torch.compile translates it, and as it is written.

    Tells whether `compiled` of a profile pays; the minute of translation is not counted. Parameters as for
    :func:`training_row`.
    """
    from llinet_lite.training import choose_precision

    bf16 = choose_precision(device) == "bf16-mixed"
    ways = [_step(network, profile, device, batch, bf16, True, compiled) for compiled in (True, False)]
    ours, plain = rates(ways, repeats=repeats)
    name = f"{network} step, compiled: {profile.image_crop} px, width {profile.width}, batch {batch}"
    return Row(name, "pairs/s", ours, plain, f"the same step, not compiled ({device.type})")


def steps(device: torch.device, quick: bool) -> list[tuple[Profile, int]]:
    """Profiles whose training step is timed, and the pairs of their batch."""
    profiles = [PROFILES[name] for name in ("smoke", "laptop", *(() if quick else ("gpu",)))]
    if device.type == "cuda":
        return [(profile, 128) for profile in profiles]
    return [(profile, 8 if profile.name == "gpu" else profile.batch_size) for profile in profiles]
