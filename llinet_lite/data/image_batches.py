"""Training batches of pictures with labels, no sounds read.

Notebook: 02
"""

from __future__ import annotations

import numpy as np

from llinet_lite.data.rows import Batches, Source
from llinet_lite.data.store import Store


class ImageBatches:
    """Pictures of a split in random order, cropped at random, for classifiers.

    Parameters
    ----------
    store : Store
    split : str
    batch_size : int
        Rows per batch. Rows that fill no batch wait for another epoch.
    image_crop : int
        Side of the random crop, pixels.
    seed : int

    Raises
    ------
    ValueError
        If a batch is larger than the split, or a crop than a picture.

    Examples
    --------
    >>> ImageBatches(store, "train", batch_size=64, image_crop=112).epoch(0)[0]["image"]   # doctest: +SKIP

    Notebook: 02
    """

    def __init__(self, store: Store, split: str, *, batch_size: int, image_crop: int, seed: int = 0):
        self.source, self.batch_size, self.seed = Source(store, split, image_crop, 0), batch_size, seed
        count = len(self.source.images)
        if not 1 <= batch_size <= count:
            raise ValueError(
                f"batch_size must lie between 1 and {count}, the pictures of {split}, not {batch_size}"
            )

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e) alone: image, label, index, draws.

        Parameters
        ----------
        e : int
            0, 1, 2 ...

        Returns
        -------
        batches : Batches
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, e])))
        count = len(self.source.images) // self.batch_size * self.batch_size
        image = rng.permutation(len(self.source.images))[:count]
        nothing = np.zeros_like(image)  # no sounds
        return Batches(self.source, self.source.rows(image, nothing, nothing, rng), self.batch_size)
