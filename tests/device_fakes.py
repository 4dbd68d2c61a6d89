"""A pretended CUDA device, to find without a GPU what would fail on one, or keep it waiting.

Tensors that are "there" are ordinary tensors of the CPU of another type, `Far`. Every call of torch
passes here first: one that mixes `Far` with others is refused as CUDA refuses it, `numpy()` of a `Far` too,
and every call for which the CPU would wait for a GPU is noted. The numbers are those of the CPU.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA = torch.device("cuda", 0)
PACKAGE = str(Path(__file__).resolve().parent.parent / "llinet_lite")

# These give a number, or a tensor of the CPU: the CPU waits until the GPU has done all it was asked for.
TO_HOST = {Tensor.item, Tensor.tolist, Tensor.cpu, Tensor.__bool__, Tensor.__float__, Tensor.__int__}
TO_HOST |= {Tensor.__index__, torch.equal, Tensor.equal, Tensor.__contains__}
# These have results of a size that only the GPU knows.
SIZES = {Tensor.nonzero, torch.nonzero, torch.unique, Tensor.unique, torch.masked_select, torch.bincount}
# These take tensors from both sides.
BOTH = {Tensor.copy_, Tensor.to, Tensor.type_as, Tensor.__setitem__, Tensor.data.__set__, Tensor.grad.__set__}
INDEXED = {Tensor.__getitem__, Tensor.__setitem__, torch.Tensor.index_put_}
JOINED = {torch.cat, torch.stack, torch.concat, torch.vstack, torch.hstack}
NO_NUMPY = {Tensor.numpy, Tensor.__array__, torch.from_numpy}


class Far(Tensor):
    """A tensor that is said to be on the GPU."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        """Every call that has a `Far` among its arguments."""
        return _call(func, args, kwargs or {})

    def __reduce_ex__(self, protocol):
        """Saved as the tensor that it is."""
        return near(self.detach()).__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        """Copied to where it is."""
        copied = far(near(self.detach()).clone())
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        return memo.setdefault(id(self), copied)


def far(tensor: Tensor) -> Tensor:
    """The same numbers, said to be on the GPU."""
    return tensor if isinstance(tensor, Far) else tensor.as_subclass(Far)


def near(tensor: Tensor) -> Tensor:
    """The same numbers on the CPU."""
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Tensor)


def _is_cuda(device) -> bool:
    named = isinstance(device, str | torch.device) and not isinstance(device, Tensor)
    return named and str(device).startswith("cuda")


def _target(func, args: tuple, kwargs: dict) -> tuple[tuple, dict, bool | None]:
    """The arguments with "cpu" for "cuda", and whether the result is asked for on the GPU; None: not said."""
    wanted = None
    if "device" in kwargs and kwargs["device"] is not None:
        wanted = _is_cuda(kwargs["device"])
        kwargs = kwargs | {"device": "cpu"}
    if func is Tensor.to:
        like = [a for a in (*args[1:], kwargs.get("other")) if isinstance(a, Tensor)]
        named = [a for a in args[1:] if isinstance(a, torch.device | str)]
        if like:
            wanted = isinstance(like[0], Far)
        elif named:
            wanted = _is_cuda(named[0])
            args = tuple("cpu" if a is named[0] else a for a in args)
    if func is Tensor.type_as:
        wanted = isinstance(args[1], Far)
    return args, kwargs, wanted


def _refuse_mixture(func, args: tuple, kwargs: dict) -> None:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [t for t in tensors if isinstance(t, Far)]
    here = [t for t in tensors if not isinstance(t, Far) and (t.ndim or func in JOINED)]
    if func in INDEXED:
        if not isinstance(args[0], Far) and any(isinstance(i, Far) for i in tree_leaves(args[1])):
            raise RuntimeError("indices should be on the same device as the indexed tensor")
        return
    if there and here and func not in BOTH:
        name = getattr(func, "__name__", func)
        shapes = [tuple(t.shape) for t in here]
        raise RuntimeError(
            f"Expected all tensors to be on the same device: {name} was given cuda:0 and cpu {shapes}"
        )


def _call(func, args: tuple, kwargs: dict):
    if func is Tensor.cuda:
        return far(args[0])
    if func is torch._has_compatible_shallow_copy_type:  # else a module keeps its parameters when it moves
        return isinstance(args[0], Far) == isinstance(args[1], Far)
    if func == Tensor.device.__get__:
        return CUDA if isinstance(args[0], Far) else torch.device("cpu")
    if func == Tensor.is_cuda.__get__:
        return isinstance(args[0], Far)
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Far)]
    args, kwargs, wanted = _target(func, args, kwargs)
    if given:
        if func in NO_NUMPY:
            raise TypeError(f"can't convert {CUDA} device type tensor to numpy. Use Tensor.cpu() first.")
        _refuse_mixture(func, args, kwargs)
    _note_wait(func, args, kwargs, given, wanted)
    with torch._C.DisableTorchFunctionSubclass():
        result = func(*args, **kwargs)
        if func in TO_HOST or wanted is False:
            return tree_map_only(Far, near, result)
        if given or wanted:
            return tree_map_only(Tensor, far, result)
        return result


WAITED: list[str] = []  # places in the package where the CPU waited


def _note_wait(func, args: tuple, kwargs: dict, given: list, wanted: bool | None) -> None:
    waits = bool(given) and (func in TO_HOST or func in SIZES or (func is Tensor.to and wanted is False))
    if func in INDEXED and given and any(isinstance(i, Far) and i.dtype == torch.bool for i in _keys(args)):
        waits = True  # a mask
    pageable = bool(wanted) and not given and func in (torch.tensor, torch.as_tensor)
    pageable |= bool(given) and func is Tensor.new_tensor
    pageable |= bool(given) and func in INDEXED and any(not isinstance(i, Far) for i in _keys(args))
    if waits or pageable:
        stack = [frame for frame in traceback.extract_stack() if frame.filename != __file__]
        if func is Tensor.to and "torch" in Path(stack[-1].filename).parts:
            return  # torch asks the storage where it is, which is the CPU here
        own = [frame for frame in stack if frame.filename.startswith(PACKAGE)]
        place = f"{Path(own[-1].filename).name}:{own[-1].lineno} {own[-1].name}" if own else "test"
        WAITED.append(f"{place}: {getattr(func, '__name__', func)}")


def _keys(args: tuple) -> list[Tensor]:
    return [i for i in tree_leaves(args[1]) if isinstance(i, Tensor)]


class _Mode(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return _call(func, args, kwargs or {})


class _Event:
    """Something that the pretended GPU has done as soon as it was asked."""

    def record(self):
        pass

    def synchronize(self):
        pass


@contextlib.contextmanager
def pretended_cuda(*, bf16: bool = False) -> Iterator[list[str]]:
    """A machine with one CUDA device, for everything in the package; yields the places that waited for it."""
    from lightning_fabric import Fabric

    from llinet_lite import training

    def fabric(device, devices, precision):
        made = Fabric(accelerator="cpu", devices=devices, precision=precision)
        if device == "cuda":
            made._strategy._root_device = CUDA
            made._strategy.accelerator.setup_device = lambda device: None
        return made

    stubs = {
        (torch.cuda, "is_available"): lambda: True,
        (torch.cuda, "is_bf16_supported"): lambda including_emulation=True: bf16,
        (torch.cuda, "get_rng_state"): lambda device=None: torch.get_rng_state(),
        (torch.cuda, "set_rng_state"): lambda state, device=None: None,
        (torch.cuda, "get_device_name"): lambda device=None: "pretended GPU",
        (torch.cuda, "synchronize"): lambda device=None: None,
        (torch.cuda, "is_current_stream_capturing"): lambda: False,
        (torch.cuda, "Event"): _Event,
        (Tensor, "pin_memory"): lambda tensor, device=None: tensor,  # called in threads too
        (torch.nn.RNNBase, "flatten_parameters"): lambda self: None,
        (training, "_fabric"): fabric,
    }
    before = {(place, name): getattr(place, name) for place, name in stubs}
    WAITED.clear()
    try:
        for (place, name), stub in stubs.items():
            setattr(place, name, stub)
        with _Mode():
            yield WAITED
    finally:
        for (place, name), real in before.items():
            setattr(place, name, real)
