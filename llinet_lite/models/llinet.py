"""LLINet: a picture, a sound, and which part of the picture sounds.

Notebook: 04
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal
from llinet_lite.models.audio_encoder import AudioEncoder
from llinet_lite.models.towers import image_head
from llinet_lite.models.trunk_weights import refuse_unknown
from llinet_lite.models.trunks import FROZEN_BN, NORMALISATIONS, Trunk

__all__ = ["GATES", "LLINet"]

GATES = {"spatial": 2, "batch": 0, "none": None}  # axis of the softmax over local features (B, C, h w)


class LLINet(nn.Module):
    r"""A frozen image trunk with a gate in its middle, an audio encoder, and a map between the two.

    .. math:: \bar v = \phi_A(u), \quad
              v' = \mathrm{FC}(\mathrm{pool}(\phi_T(\phi_L(u) \odot (1 + \mathrm{softmax}(\bar v))))), \\
              a' = \frac{\phi(x)}{\|\phi(x)\|}, \quad \bar a = \mathrm{ReLU}(W a' + b), \quad
              s_i = \bar v_i \cdot \bar a

    with u what the trunk's `early` gives (layer2), phi_L its `late` (layer3), phi_T its `top` (layer4), all
    frozen, and phi_A the attention layer: a second copy of `late`, starting from the same weights, that is
    trained. The local features v_bar open the gate of the picture's own path and, with the transformed sound
    a_bar, say where the sound is: s_i, raw and, for a trunk that ends in ReLU, not negative.

    Source: LLINet, *Look, Listen and Infer* (2020), and its released code. With ResNet-101 at 244 px u is
    512 x 31 x 31, v_bar 1024 x 16 x 16, v' and a' 1024 long. a' is divided by its length, v' is not: the
    losses compare by the cosine, nearest prototypes do not.

    Parameters
    ----------
    trunk : str or Trunk
        Name of an architecture, which then starts from random weights and whose title says so: weights are
        loaded on purpose, by :func:`llinet_lite.models.trunks.build_trunk`. A Trunk is copied and the copy
        frozen, so that several networks can start from one.
    gate : "spatial", "batch" or "none"
        The axis of the softmax. "spatial": over the cells of each channel, as meant. "batch": over the
        pictures of the batch, as in the released code, whose softmax names no axis and so takes the first; a
        picture's embedding then depends on the batch it is in, and alone its gate is 2 everywhere. "none":
        the gate is 1; the attention layer serves the map alone.
    width : int
        Channels of the audio encoder's first convolution, and of a stand-in made by name; 64 in the paper.
    size : int
        Of the embeddings; 1024 in the paper.
    frozen_bn : "eval" or "train", optional
        See :class:`llinet_lite.models.trunks.Trunk`; "train" is the released code. Default: as the Trunk
        has it, "eval" for a name.
    normalisation : "imagenet" or "released", optional
        Likewise; the colours are normalised as the weights expect ("imagenet") unless the Trunk says
        otherwise. The released code takes 0.5 for all with ImageNet's weights ("released").
    audio : Module, optional
        What is heard (B, ...) -> (B, size). Default: the paper's encoder of log-mel (B, T, bands).

    Notebook: 04
    """

    def __init__(
        self,
        trunk: str | Trunk = "resnet101",
        gate: str = "spatial",
        *,
        width: int = 64,
        size: int = 1024,
        frozen_bn: str | None = None,
        normalisation: str | None = None,
        audio: nn.Module | None = None,
    ):
        super().__init__()
        refuse_unknown("gate", gate, GATES)
        self.gate, self.width, self.size = gate, width, size
        self.trunk = copy.deepcopy(trunk) if isinstance(trunk, Trunk) else Trunk(trunk, width=width)
        if frozen_bn is not None:
            refuse_unknown("frozen_bn", frozen_bn, FROZEN_BN)
            self.trunk.frozen_bn = frozen_bn
        if normalisation is not None:
            refuse_unknown("normalisation", normalisation, NORMALISATIONS)
            self.trunk.normalisation = normalisation
        self.attention = copy.deepcopy(self.trunk.stages[1]).requires_grad_(True)
        self.trunk.freeze()
        self.image_head = image_head(self.trunk.features, size)
        self.audio = AudioEncoder(width, size) if audio is None else audio
        self.transformation = nn.Linear(size, self.trunk.local_channels)
        self.train()

    @torch.no_grad()
    def see(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Run the frozen part of the picture's path; unless its batch normalisation drifts, it can be kept.

        Parameters
        ----------
        image : Tensor (B, 3, H, W) float in [0, 1]

        Returns
        -------
        early : Tensor (B, trunk.early_channels, H', W'), for the attention layer
        late : Tensor (B, C, h, w), for the gate; C = trunk.local_channels
        """
        early = self.trunk.early(image)
        return early, self.trunk.late(early)

    def attend(self, early: Tensor, late: Tensor) -> tuple[Tensor, Tensor]:
        """Run the rest of the picture's path: attention layer, gate, the trunk's top, head.

        Parameters
        ----------
        early, late : Tensor, as `see` returns them

        Returns
        -------
        embedding : Tensor (B, size), not normalised
        local : Tensor (B, C, h, w), the vector v_bar of every cell
        """
        local = self.attention(early)
        if (axis := GATES[self.gate]) is not None:
            cells = full_precision(local).flatten(2)  # (B, C, h, w) -> (B, C, h w)
            late = late * (1 + cells.softmax(axis).view_as(local))  # (B, C, h w) -> (B, C, h, w)
        return self.image_head(self.trunk.pool(self.trunk.top(late))), local

    def embed_image(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Picture (B, 3, H, W) float in [0, 1] -> embedding (B, size), local features (B, C, h, w)."""
        return self.attend(*self.see(image))

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> embedding (B, size) of length 1."""
        return F.normalize(full_precision(self.audio(logmel)), dim=-1)

    def transform(self, audio: Tensor) -> Tensor:
        """Embeddings of sounds (B, size) -> a_bar (B, C), not negative, in the space of the cells."""
        return F.relu(self.transformation(audio))

    def localize(self, image: Tensor, logmel: Tensor) -> Tensor:
        """Score every cell of picture i with sound i.

        Parameters
        ----------
        image : Tensor (B, 3, H, W) float in [0, 1]
        logmel : Tensor (B, T, bands)

        Returns
        -------
        Tensor (B, h, w), s_i = v_bar_i . a_bar: larger where the sound is more likely, on no fixed scale
        """
        with torch.no_grad():
            early = self.trunk.early(image)
        return self._scores(self.attention(early), self.embed_audio(logmel))

    def forward(self, image: Tensor, logmel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Embed the pictures and sounds of a batch, and score every cell of picture i with sound i.

        Returns
        -------
        image : Tensor (B, size), not normalised
        audio : Tensor (B, size), of length 1
        scores : Tensor (B, h, w), as from `localize`
        """
        (embedding, local), audio = self.embed_image(image), self.embed_audio(logmel)
        return embedding, audio, self._scores(local, audio)

    def _scores(self, local: Tensor, audio: Tensor) -> Tensor:
        refuse_unequal(local, audio)
        return full_precision(torch.einsum("bchw,bc->bhw", local, self.transform(audio)))

    def parameter_groups(self) -> list[dict]:
        """Return what is trained, in three groups for an optimizer: "image", "audio", "transform".

        The released code has an optimizer for each, and lowers the learning rate of the first alone.
        """
        parts = {
            "image": [*self.attention.parameters(), *self.image_head.parameters()],
            "audio": [*self.audio.parameters()],
            "transform": [*self.transformation.parameters()],
        }
        return [{"name": name, "params": parameters} for name, parameters in parts.items()]

    def trainable_state(self) -> dict[str, Tensor]:
        """Return the state without the frozen trunk, for small files.

        With `frozen_bn="train"` it includes the trunk's batch statistics, which training has moved.
        """
        drifting = self.trunk.frozen_bn == "train"
        kept = {name for name, _ in self.trunk.named_buffers("trunk")} if drifting else set()
        state = self.state_dict()
        return {key: value for key, value in state.items() if not key.startswith("trunk.") or key in kept}

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Take what `trainable_state` of the same network returned; the trunk must be the same already.

        Raises
        ------
        ValueError
            If the state is that of another network.
        """
        wanted = self.trainable_state()
        differ = [
            key for key in {**wanted, **state}
            if key not in wanted or key not in state or wanted[key].shape != state[key].shape
        ]  # fmt: skip
        if differ:
            raise ValueError(
                f"The state is of another LLINet than this one ({self.trunk.title}, width {self.width}, size "
                f"{self.size}): {len(differ)} tensors are missing, strange or of another size, first "
                f"{differ[0]}. Build the network as it was when it was saved."
            )
        self.load_state_dict(state, strict=False)
