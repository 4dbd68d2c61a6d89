"""Optical flow: how far each pixel moves from one frame to the next.

*Objects that Sound* stacks ten fields of TV-L1 flow, which OpenCV keeps in its contributed modules. Of what
the main modules offer, Farnebäck's polynomial expansion (Two-Frame Motion Estimation Based on Polynomial
Expansion, SCIA 2003) suits the built-in world best. Measured on 180 pairs of its noisy frames, 128 px:

===========================================  =====================  ===================  ==========
method                                       flow where all stands  unexplained motion   per field
===========================================  =====================  ===================  ==========
Farnebäck, as below                          0.13 px                30 %                 3 ms
dense inverse search, preset medium          0.27 px                39 %                 1.6 ms
dense inverse search, down to single pixels  0.42 px                29 %                 5 ms
===========================================  =====================  ===================  ==========

Unexplained motion is what is left of the difference between two noise-free frames, where they differ, after
the second was moved back along the flow. Both methods see slow motion in smooth, dark surfaces, where there
is none: sensor noise.

Notebook: 02
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np


def optical_flow(frames: np.ndarray) -> np.ndarray:
    """Estimate how far each pixel moves from one frame to the next.

    Field k holds the (u, v) for which frame k at (x, y) looks like frame k + 1 at (x + u, y + v).

    Parameters
    ----------
    frames : (n + 1, H, W, 3) uint8
        RGB.

    Returns
    -------
    flow : (n, 2, H, W) float32
        u to the right, v down, pixels per frame.

    Notebook: 02
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    settings = {"pyr_scale": 0.5, "levels": 3, "winsize": 21, "iterations": 2, "poly_n": 7, "poly_sigma": 1.5}
    settings |= {"flags": cv2.OPTFLOW_FARNEBACK_GAUSSIAN}
    fields = [cv2.calcOpticalFlowFarneback(*pair, None, **settings) for pair in itertools.pairwise(grey)]
    return np.stack(fields).transpose(0, 3, 1, 2)  # (n, H, W, 2) -> (n, 2, H, W)


def quantise(flow: np.ndarray, limit: float) -> np.ndarray:
    """Round flow to whole numbers of ``limit / 127``; what is faster than the limit is cut off.

    Parameters
    ----------
    flow : array of float
        Pixels per frame.
    limit : float
        Pixels per frame.

    Returns
    -------
    array of int8, -127 to 127

    Notebook: 02
    """
    return np.rint(np.clip(flow / limit, -1, 1) * 127).astype(np.int8)
