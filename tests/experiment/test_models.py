"""Networks: normalisation, modes of batch norm, fusion, and files of weights."""

import copy
import hashlib
import io

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from helpers import InputError
from helpers.catalogue import CORRUPTIONS, PUBLISHED, Corruption, Published
from helpers.experiment.evaluation import evaluate
from helpers.experiment.models import (
    IMAGENET_NORMALISATION,
    Classifier,
    fuse_batch_norm,
    load_network,
    make_model,
)
from helpers.experiment.small_maps import use_small_maps
from helpers.experiment.training import fit


def make(data, start="random", batch_norm="train", seed=0, data_dir="nowhere"):
    return make_model("resnet18", str(start), data, str(data_dir), batch_norm, seed)


def test_the_first_layer_normalises_by_the_training_set(stripes):
    model = make(stripes).eval()
    pixels = stripes.train.images.double() / 255
    torch.testing.assert_close(model.mean.flatten().double(), pixels.mean((0, 2, 3)))
    std = pixels.std((0, 2, 3), correction=0)
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
def test_batch_norm_modes_and_parameter_groups(stripes, batch_norm, affine_moves, statistics_move):
    model, images = make(stripes, batch_norm=batch_norm), stripes.train.images[:32]
    groups = model.parameter_groups(0.01, 0.02)
    assert [group["lr"] for group in groups] == [0.01, 0.02]
    assert [id(p) for p in groups[1]["params"]] == [id(p) for p in model.head.parameters()]
    assert len(groups[0]["params"]) == (60 if affine_moves else 20)
    optimizer = torch.optim.SGD(groups)
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    affine, convolution = norms[-1].weight.clone(), model.network.conv1.weight.clone()
    for epoch, moves in enumerate(statistics_move, start=1):
        evaluated = model.eval()(images).detach()
        before = [norm.running_mean.clone() for norm in norms]
        logits = model.train(epoch=epoch)(images)
        # Fixed statistics are those that normalise.
        assert torch.allclose(logits, evaluated, atol=1e-4) == (not moves)
        optimizer.zero_grad()
        logits.square().sum().backward()
        optimizer.step()
        moved = [not torch.equal(n.running_mean, old) for n, old in zip(norms, before, strict=True)]
        assert moved == [moves] * len(norms)
    assert torch.equal(norms[-1].weight, affine) == (not affine_moves)
    assert not torch.equal(model.network.conv1.weight, convolution)


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
    for fused in (fuse_batch_norm(stock), fuse_batch_norm(model)):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
        for size in (28, 64):
            images = torch.randint(0, 256, (2, 3, size, size)).to(torch.uint8)
            with torch.inference_mode():
                expected = stock(images)
                for _ in range(2):  # the second time from the cached windows
                    torch.testing.assert_close(fused(images), expected)
            assert expected.abs().max() > 0.1
    assert model.training
    model(torch.rand(2, 3, 28, 28).double()).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_weights_of_a_file_and_published_ones_are_used(stripes, tmp_path, monkeypatch):
    source, path = make(stripes, seed=11), tmp_path / "weights.pt"
    path.write_bytes(source.pack_weights())
    stripes.train.images[:] //= 2  # other data, but the normalisation of the weights
    model = make(stripes, path, seed=3)
    backbones = [net.network.layer4[1].conv2.weight for net in (model, source)]
    assert backbones[0].dtype == torch.float32
    assert torch.equal(backbones[0], backbones[1].half().float())
    assert torch.equal(model.network.fc.weight, make(stripes, seed=3).network.fc.weight)
    torch.testing.assert_close(model.mean, source.mean)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.weights == {"initialisation": str(path), "sha256": digest, "official": False}
    torch.save(torchvision.models.resnet18().state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    published = Published(path.as_uri(), digest[:8])
    monkeypatch.setitem(PUBLISHED, ("imagenet", "resnet18"), published)
    model = make(stripes, "imagenet", data_dir=tmp_path / "data")
    state = torch.load(path, weights_only=True)
    assert torch.equal(model.network.conv1.weight, state["conv1.weight"])
    assert model.mean.flatten().tolist() == pytest.approx(IMAGENET_NORMALISATION[0])
    assert model.weights == {"initialisation": "imagenet", "sha256": digest, "official": True}
    assert make(stripes).weights["sha256"] is None
    with pytest.raises(InputError, match="barlow_twins does not exist; give the weights.pt"):
        make(stripes, "barlow_twins")


def test_the_network_of_a_record_meets_a_new_corruption(stripes, tmp_path, monkeypatch):
    model = make(stripes)
    fit(model, stripes, (0.0, 0.0, 0.0), 2, 32, False, 1e-3, 1e-3, 0.0, "float32", 0)
    (tmp_path / "weights.pt").write_bytes(model.pack_weights())
    assert (tmp_path / "weights.pt").stat().st_size < 23e6
    loaded = load_network(tmp_path)
    assert not loaded.training
    with torch.inference_mode():
        expected, found = model.eval()(stripes.test.images), loaded(stripes.test.images)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.01)  # rounded to float16
    assert (found.argmax(1) == expected.argmax(1)).float().mean() > 0.9
    assert loaded.network.fc.weight.dtype == torch.float32
    assert loaded.network.bn1.num_batches_tracked == model.network.bn1.num_batches_tracked
    mine = Corruption("torchvision.transforms.v2.functional:adjust_gamma")
    monkeypatch.setitem(CORRUPTIONS, "gamma", mine)
    after, before = (evaluate(each, stripes, {"gamma": [0.5, 2.0]}) for each in (loaded, model))
    assert after.scores().corruption.tolist() == ["clean", "gamma", "gamma"]
    pair = [evaluation.logits[0].astype(float) for evaluation in (before, after)]
    assert before.measure_rounding(model, stripes) == {
        "clean_test_images": len(stripes.test.labels),
        "predictions_changed": (pair[0].argmax(1) != pair[1].argmax(1)).sum(),
        "largest_logit_difference": np.abs(pair[0] - pair[1]).max(),
    }
    (tmp_path / "weights.pt").unlink()
    with pytest.raises(InputError, match="weights.pt does not exist; give the folder of a record"):
        load_network(tmp_path)


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def save(content: object):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return lambda _: buffer.getvalue()


PACKED = {"network": "resnet18", "mean": [0.5] * 3, "std": [0.2] * 3}
PACKED |= {"state": torchvision.models.resnet50().state_dict()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"", "holds no weights, or is corrupt"),
        (lambda content: content[:-5000], "is corrupt"),
        (flip_a_bit, "differs from its checksum"),
        (save(PACKED | {"state": print}), "holds no weights"),  # code is not run
        (save([1, 2]), "was not written by this project"),
        (save({"conv1.weight": torch.zeros(2)}), "was not written by this project"),
        (save(PACKED), "does not fit a resnet18"),
        (None, "does not exist; give the weights.pt of a run, or choose random or pub"),
    ],
)
def test_unusable_weights_are_refused_in_one_line(stripes, tmp_path, change, message):
    path = tmp_path / "weights.pt"
    if change:
        path.write_bytes(change(make(stripes).pack_weights()))
    with pytest.raises(InputError, match=message) as caught:
        make(stripes, path)
    assert "\n" not in str(caught.value)
