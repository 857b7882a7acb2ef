"""Networks: normalisation, modes of batch norm, fusion, and files of weights."""

import copy
import hashlib
import io
import zipfile

import pytest
import torch
import torchvision
from torch import nn

from helpers import InputError
from helpers.catalogue import PUBLISHED, Published
from helpers.experiment.models import (
    IMAGENET_NORMALISATION,
    Classifier,
    fuse_batch_norm,
    load_weights,
    make_model,
    pack_weights,
)
from helpers.experiment.small_maps import use_small_maps


def make(data, start="random", batch_norm="train", seed=0, network="resnet18", data_dir="nowhere"):
    return make_model(network, start, data, data_dir, batch_norm, seed)


@pytest.fixture
def packed(tmp_path, stripes):
    path = tmp_path / "weights.pt"
    path.write_bytes(make(stripes, seed=11).pack_backbone())
    return path


def test_the_first_layer_normalises_by_the_training_set(stripes):
    model = make(stripes).eval()
    pixels = stripes.train.images.double() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    torch.testing.assert_close(model.mean.flatten().double(), mean)
    torch.testing.assert_close(model.std.flatten().double(), std)
    images = stripes.test.images[:5]
    by_hand = (images / 255 - model.mean) / model.std
    torch.testing.assert_close(model(images), model.network(by_hand))
    torch.testing.assert_close(model(images / 255), model(images))


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone(stripes):
    before = torch.random.get_rng_state()
    first, second, other = (make(stripes, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["network.conv1.weight"], other["network.conv1.weight"])


@pytest.mark.parametrize(
    ("batch_norm", "affine_moves", "statistics_move"),
    [
        ("train", True, (True, True)),
        ("frozen", False, (False, False)),
        ("affine_frozen", False, (False, True)),
    ],
)
def test_batch_norm_modes(stripes, batch_norm, affine_moves, statistics_move):
    model = make(stripes, batch_norm=batch_norm)
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    optimizer = torch.optim.SGD(model.parameter_groups(0.01, 0.01))
    affine = [norms[-1].weight.clone(), norms[-1].bias.clone()]
    convolution = model.network.conv1.weight.clone()
    images = stripes.train.images[:32]
    for epoch, moves in enumerate(statistics_move, start=1):
        evaluated = model.eval()(images).detach()
        model.train(epoch=epoch)
        before = [norm.running_mean.clone() for norm in norms]
        optimizer.zero_grad()
        logits = model(images)
        # Fixed statistics are those that normalise.
        assert torch.allclose(logits, evaluated, atol=1e-4) == (not moves)
        logits.square().sum().backward()
        optimizer.step()
        changed = [
            not torch.equal(n.running_mean, old) for n, old in zip(norms, before, strict=True)
        ]
        assert changed == [moves] * len(norms)
    moved = not torch.equal(norms[-1].weight, affine[0])
    assert moved == (not torch.equal(norms[-1].bias, affine[1])) == affine_moves
    assert not torch.equal(model.network.conv1.weight, convolution)


def test_parameter_groups_are_backbone_and_head(stripes):
    model = make(stripes)
    backbone, head = model.parameter_groups(5e-5, 5e-4)
    assert (backbone["lr"], head["lr"]) == (5e-5, 5e-4)
    assert {id(p) for p in head["params"]} == {id(p) for p in model.network.fc.parameters()}
    assert len(backbone["params"]) + 2 == len(list(model.parameters()))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_fused_batch_norm_gives_the_same_logits_and_leaves_the_model_alone(name):
    torch.manual_seed(0)
    model = Classifier(name, 5, [0.4, 0.5, 0.6], [0.1, 0.2, 0.3], "train").double()
    for norm in model.modules():  # batch norms far from the identity, as after training
        if isinstance(norm, nn.BatchNorm2d):
            for value in (norm.bias.data, norm.running_mean):
                value.normal_(std=0.1)
            for value in (norm.weight.data, norm.running_var):
                value.uniform_(0.5, 1.5)
    stock = copy.deepcopy(model).eval()
    model = use_small_maps(model.to(memory_format=torch.channels_last))
    before = copy.deepcopy(model.state_dict())
    for fused in (fuse_batch_norm(stock), fuse_batch_norm(model)):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
        assert not fused.training
        for size in (28, 64):
            images = torch.randint(0, 256, (2, 3, size, size)).to(torch.uint8)
            with torch.inference_mode():
                expected = stock(images)
                for _ in range(2):  # the second time from the cached windows
                    torch.testing.assert_close(fused(images), expected)
            assert expected.abs().max() > 0.1
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model(torch.rand(2, 3, 28, 28).double()).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_backbone_survives_its_file(stripes, packed):
    source = make(stripes, seed=11)
    model = make(stripes, str(packed), seed=3)
    assert torch.equal(model.network.layer4[1].conv2.weight, source.network.layer4[1].conv2.weight)
    assert not torch.equal(model.network.fc.weight, source.network.fc.weight)
    torch.testing.assert_close(model.mean, source.mean)
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    assert model.weights == {"initialisation": str(packed), "sha256": digest, "official": False}


def test_published_weights_are_used_with_their_normalisation(stripes, tmp_path, monkeypatch):
    path = tmp_path / "elsewhere.pth"
    torch.save(torchvision.models.resnet18().state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    entry = Published(path.as_uri(), digest[:8])
    monkeypatch.setitem(PUBLISHED, ("imagenet", "resnet18"), entry)
    model = make(stripes, "imagenet", data_dir=str(tmp_path / "data"))
    state = torch.load(path, weights_only=True)
    assert torch.equal(model.network.conv1.weight, state["conv1.weight"])
    assert model.mean.flatten().tolist() == pytest.approx(IMAGENET_NORMALISATION[0])
    assert model.weights == {"initialisation": "imagenet", "sha256": digest, "official": True}
    with pytest.raises(InputError, match="no barlow_twins weights are published for a resnet18"):
        make(stripes, "barlow_twins")


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def compress(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("archive/data.pkl", bytes(10 * len(content)))
    return buffer.getvalue()


def pickle(content: object):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return lambda _: buffer.getvalue()


STATE = torchvision.models.resnet50().state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"", "holds no weights, or is corrupt"),
        (lambda _: b"not weights", "holds no weights, or is corrupt"),
        (lambda content: content[:-5000], "is corrupt"),
        (flip_a_bit, "differs from its checksum"),
        (compress, "would unpack to"),
        (pickle({"network": "resnet18", "state": print}), "holds no weights"),
        (pickle([1, 2]), "holds a list"),
        (pickle({"network": "resnet18", "state": {}}), "not hold the weights of a pretraining"),
        (lambda _: pack_weights("resnet50", STATE, [0.5] * 3, [0.2] * 3), "a resnet50, not a"),
        (lambda _: pack_weights("resnet18", STATE, [0.5] * 3, [0.2] * 3), "does not fit a"),
        (lambda _: pack_weights("resnet18", STATE, [0.5] * 3, [0.0] * 3), "does not hold"),
        (None, "does not exist; make it with a pretraining notebook, or choose random or barlow"),
    ],
)
def test_unusable_weights_are_refused_in_one_line(stripes, packed, change, message):
    content = packed.read_bytes()
    packed.unlink() if change is None else packed.write_bytes(change(content))
    with pytest.raises(InputError, match=message) as caught:
        make(stripes, str(packed))
    assert "\n" not in str(caught.value)


def test_random_weights_have_no_file():
    assert load_weights("resnet18", "random", "nowhere").summary["sha256"] is None
