"""TEMPORARY: wave B removes this. Lets avc, zeroshot and the stand-ins train through `training.fit`."""

from torch import nn

from llinet_lite import training
from llinet_lite.training import adam, load_weights


class Method(nn.Module):
    """A network and how it is trained, given one by one."""

    def __init__(self, model, optimizer, schedule, clip_norm):
        super().__init__()
        self.model, self.make, self.factor, self.clip_norm = model, optimizer, schedule, clip_norm

    def loss(self, step, batch):
        """The loss of `step(model, batch)`."""
        result = step(self.model, batch)
        return result if isinstance(result, tuple) else (result, {})

    def optimizer(self, rate):
        """The optimizer that was given."""
        return self.make

    def schedule(self, epochs):
        """The schedule that was given."""
        return self.factor


class Carried(nn.Module):
    """A step in the place of inputs."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, batch):
        """The step."""
        return self.step


class OldHistory(training.History):
    """The best weights are those of the network."""

    def load_best(self, model):
        """Put the best weights into `model`."""
        return load_weights(self.folder / "best.safetensors", Method(model, None, None, None))


def fit(model, step, batches, *, optimizer=None, schedule=None, clip_norm=None, compiled=False, **options):
    """As `training.fit` was."""
    if validate := options.pop("validate", None):
        options["validate"] = lambda method: validate(method.model)
    method = Method(model, optimizer or adam(), schedule, clip_norm)
    return OldHistory(**vars(training.fit(method, Carried(step), batches, **options)))


def overfit_one_batch(model, step, batch, steps=60, lr=1e-3):
    """As `training.overfit_one_batch` was."""
    return training.overfit_one_batch(Method(model, None, None, None), Carried(step), batch, steps, lr)
