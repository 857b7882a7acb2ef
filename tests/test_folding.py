import copy

import pytest
import torch
from torch import nn

from helpers.experiment.folding import fold
from helpers.experiment.models import Classifier
from helpers.experiment.small_maps import use_small_maps


def make_trained(name: str) -> Classifier:
    """A network whose batch norms are far from the identity, as after training."""
    torch.manual_seed(0)
    model = Classifier(name, 5, [0.4, 0.5, 0.6], [0.1, 0.2, 0.3], "train").double()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for value in (norm.bias.data, norm.running_mean):
                value.normal_(std=0.1)
            for value in (norm.weight.data, norm.running_var):
                value.uniform_(0.5, 1.5)
    return model.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("small_maps", [False, True])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_outputs_are_unchanged_at_all_sizes(name, small_maps):
    stock = make_trained(name).eval()
    folded = fold(use_small_maps(copy.deepcopy(stock)) if small_maps else stock)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for size in (28, 32, 64, 224):
        images = torch.randint(0, 256, (1 if size == 224 else 3, 3, size, size)).to(torch.uint8)
        with torch.inference_mode():
            expected = stock(images)
            for _ in range(2):  # the second time from the windows gathered the first time
                torch.testing.assert_close(folded(images), expected)
        assert expected.abs().max() > 0.1


def test_the_model_itself_is_left_as_it_was():
    model = use_small_maps(make_trained("resnet18"))
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    with torch.inference_mode():
        folded(torch.zeros(2, 3, 28, 28))
    assert model.training
    assert not folded.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model(torch.rand(2, 3, 28, 28)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
