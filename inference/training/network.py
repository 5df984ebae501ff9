"""The network: a small 2.5D U-Net over three slices, windowing inside, logits at half resolution.

Needs torch, which the product does not: ``pip install torch==2.13.0`` in an environment of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (16, 24, 40, 64)


def _conv(width_in: int, width_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False), nn.BatchNorm2d(width_out), nn.ReLU(inplace=True)
    )


def _up(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Net(nn.Module):  # type: ignore[misc]
    """[N, 3, 128, 128] in HU (slice below, slice, slice above) to [N, 1, 64, 64] logits of blood."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.down1 = nn.Sequential(_conv(6, a, 2), _conv(a, a), _conv(a, a))
        self.down2 = nn.Sequential(_conv(a, b, 2), _conv(b, b))
        self.down3 = nn.Sequential(_conv(b, c, 2), _conv(c, c))
        self.down4 = nn.Sequential(_conv(c, d, 2), _conv(d, d))
        self.up3, self.up2, self.up1 = _conv(d + c, c), _conv(c + b, b), _conv(b + a, a)
        self.out = nn.Conv2d(a, 1, 1)

    def forward(self, hu: Tensor) -> Tensor:
        brain, bright = hu.clamp(0, 80) / 40 - 1, (hu.clamp(40, 240) - 40) / 100 - 1
        a = self.down1(torch.cat([brain, bright], 1))
        b = self.down2(a)
        c = self.down3(b)
        c = self.up3(torch.cat([_up(self.down4(c)), c], 1))
        b = self.up2(torch.cat([_up(c), b], 1))
        logits: Tensor = self.out(self.up1(torch.cat([_up(b), a], 1)))
        return logits
