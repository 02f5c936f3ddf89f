"""Modules of PyTorch to convert in tests; PyTorch is optional, so that tests import this after they asked for it."""

import torch
from torch import nn


def drawn(module):
    """The module in double precision as it predicts, with batch norms that change something."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            if layer.affine:
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return module.double().eval()


def samples(shape, n=20):
    return torch.randn(n, *([shape] if isinstance(shape, int) else shape), dtype=torch.double)


class Of(nn.Module):
    """A module whose forward is a function of it and of its input."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.run(self, x)
