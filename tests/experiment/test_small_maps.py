"""Convolutions of small maps against ``nn.Conv2d`` and torchvision's networks."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from helpers.experiment import small_maps
from helpers.experiment.small_maps import SmallMapConv2d, use_small_maps


@pytest.fixture(params=["oneDNN", "fallback"])
def library(request, monkeypatch):
    if request.param == "fallback":
        monkeypatch.setattr(small_maps, "ONEDNN_LINEAR", None)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_values_and_gradients_equal_those_of_the_convolution(size, stride, dtype):
    torch.manual_seed(0)
    stock = nn.Conv2d(5, 7, 3, stride, 1, bias=False).to(dtype)
    results = []
    for conv in (stock, SmallMapConv2d.like(copy.deepcopy(stock))):
        torch.manual_seed(1)
        images = torch.randn(4, 5, size, size, dtype=dtype, requires_grad=True)
        maps = conv(images)
        maps.square().sum().backward()
        results.append((maps, images.grad, conv.weight.grad))
    for theirs, mine in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize(
    # At 96 px no map is small: there both must be the same computation, bit for bit.
    ("size", "dtype", "tolerance"),
    [(28, torch.float64, 1e-6), (96, torch.float32, 0)],
)
def test_a_whole_network_is_unchanged(name, size, dtype, tolerance):
    torch.manual_seed(0)
    stock = torchvision.models.get_model(name, num_classes=9).to(dtype)
    images = torch.randn(3, 3, size, size, dtype=dtype)
    gradients = []
    for network in (stock, use_small_maps(copy.deepcopy(stock))):
        logits = network(images)
        logits.square().sum().backward()
        gradients.append([logits, *(p.grad for p in network.parameters())])
    for theirs, mine in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=10 * tolerance, atol=tolerance)


def test_state_dicts_are_the_same_and_other_convolutions_are_left_alone():
    stock, ours = (torchvision.models.resnet18(num_classes=4) for _ in range(2))
    use_small_maps(ours)
    assert sum(isinstance(m, SmallMapConv2d) for m in ours.modules()) == 16
    ours.load_state_dict(stock.state_dict(), strict=True)
    assert torch.equal(ours.layer4[1].conv2.weight, stock.layer4[1].conv2.weight)
    stock.load_state_dict(ours.state_dict(), strict=True)
    odd = nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, groups=2, bias=False)
    )
    assert not any(isinstance(m, SmallMapConv2d) for m in use_small_maps(odd).modules())
