"""Batch norm folded into the convolution before it, for inference."""

import copy
import functools
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .models import Classifier
from .small_maps import SmallMapConv2d


def fold(model: Classifier) -> Classifier:
    """Return a copy for inference in which every batch norm that follows a convolution is gone.

    Outputs are those of the model in evaluation mode up to rounding. The copy does not follow the
    model when that is trained on, and is not to be trained itself.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for parent in list(folded.modules()):
        # torchvision's ResNets register their layers in the order of the forward pass.
        for (name, conv), (norm_name, norm) in itertools.pairwise(parent.named_children()):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, _freeze(fuse_conv_bn_eval(conv, norm)))
                setattr(parent, norm_name, nn.Identity())
    return folded


def _freeze(conv: nn.Conv2d) -> nn.Conv2d:
    if isinstance(conv, SmallMapConv2d):
        conv.matrix = functools.cache(conv.matrix)  # its weights move no more: gather them once
    return conv
