"""TEMPORARY: wave B removes this. The packing of weights moves to experiments/runs.py."""

import torch

from llinet_lite.files import alone_in as alone_in
from llinet_lite.training import CheckpointError as CheckpointError
from llinet_lite.training import load_weights as load_weights
from llinet_lite.training import save_weights as save_weights


def rounded(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Round the weights to 16 bits, in place too, and return them: what is judged is what is published."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return state


def packed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Pack weights for publication: 8 bits for matrices and kernels, 16 for the rest.

    Every row of a weight (of a matrix, or of a kernel by its output channel) becomes whole numbers of -127 to
    127 times the row's scale, max |w| / 127 in bfloat16, kept as "<name>:scale". Packing what was unpacked
    gives the same numbers again.

    Parameters
    ----------
    state : dict of str to Tensor

    Returns
    -------
    dict of str to Tensor, for safetensors
    """
    small = {}
    for name, value in state.items():
        if not value.is_floating_point():
            small[name] = value
        elif value.ndim < 2:
            small[name] = value.half()
        else:
            rows = value.float().flatten(1)  # (out, ...) -> (out, n)
            scale = (rows.abs().amax(1, keepdim=True) / 127).bfloat16()
            whole = (rows / scale.float().clamp(min=1e-30)).round().clamp(-127, 127)
            small[name], small[f"{name}:scale"] = whole.to(torch.int8).view(value.shape), scale
    return small


def unpacked(small: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the float32 weights that `packed` packed, rounded."""
    state = {}
    for name, value in small.items():
        if name.endswith(":scale"):
            continue
        scale = small.get(f"{name}:scale")
        if scale is None:
            state[name] = value.float() if value.is_floating_point() else value
        else:
            state[name] = (value.flatten(1).float() * scale.float()).view(value.shape)
    return state
