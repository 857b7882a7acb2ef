import hashlib

import pytest
import torch
import torchvision

from helpers import InputError
from helpers.catalogue import Published
from helpers.experiment import weights
from helpers.experiment.models import Classifier, make_model
from helpers.experiment.weights import IMAGENET_NORMALISATION, load_weights


def make(data, initialisation="random", batch_norm="train", seed=0, network="resnet18", **others):
    arguments = {"data_dir": "nowhere"} | others
    return make_model(
        network, initialisation, data=data, batch_norm=batch_norm, seed=seed, **arguments
    )


@pytest.fixture
def checkpoint(tmp_path, stripes):
    path = tmp_path / "weights.pt"
    path.write_bytes(make(stripes, seed=11).pack_backbone())
    return path


def test_normalisation_is_the_first_layer(stripes):
    model = make(stripes).eval()
    mean, std = stripes.mean_and_std()
    pixels = stripes.train.images.double() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist())
    images = stripes.test.images[:5]
    by_hand = (images / 255 - model.mean) / model.std
    torch.testing.assert_close(model(images), model.network(by_hand))
    torch.testing.assert_close(model(images / 255), model(images))


def test_same_seed_same_weights_and_the_global_generator_is_left_alone(stripes):
    before = torch.random.get_rng_state()
    first, second, other = (make(stripes, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["network.conv1.weight"], other["network.conv1.weight"])


@pytest.mark.parametrize(
    ("batch_norm", "affine_moves", "statistics_move"),
    [
        ("train", True, (True, True, True)),
        ("frozen", False, (False, False, False)),
        ("affine_frozen", False, (False, True, True)),
    ],
)
def test_what_batch_norm_keeps_in_which_epoch(stripes, batch_norm, affine_moves, statistics_move):
    model = make(stripes, batch_norm=batch_norm)
    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    optimizer = torch.optim.SGD(model.parameter_groups(0.01, 0.01))
    affine = [norms[-1].weight.clone(), norms[-1].bias.clone()]
    convolution = model.network.conv1.weight.clone()
    for epoch, moves in enumerate(statistics_move, start=1):
        model.train(epoch=epoch)
        before = [norm.running_mean.clone() for norm in norms]
        optimizer.zero_grad()
        model(stripes.train.images).square().sum().backward()
        optimizer.step()
        changed = [
            not torch.equal(n.running_mean, old) for n, old in zip(norms, before, strict=True)
        ]
        assert changed == [moves] * len(norms)
        model.eval()  # as the validation does after each epoch
    moved = not torch.equal(norms[-1].weight, affine[0])
    assert moved == (not torch.equal(norms[-1].bias, affine[1])) == affine_moves
    assert not torch.equal(model.network.conv1.weight, convolution)


def test_fixed_statistics_are_the_ones_that_normalise(stripes):
    images = stripes.train.images[:8]
    model = make(stripes, batch_norm="affine_frozen")
    evaluated = model.eval()(images)
    torch.testing.assert_close(model.train(epoch=1)(images), evaluated)
    assert (model.train(epoch=2)(images) - evaluated).abs().max() > 1e-2


def test_parameter_groups_are_backbone_and_head(stripes):
    model = make(stripes)
    backbone, head = model.parameter_groups(5e-5, 5e-4)
    assert (backbone["lr"], head["lr"]) == (5e-5, 5e-4)
    assert {id(p) for p in head["params"]} == {id(p) for p in model.network.fc.parameters()}
    assert len(backbone["params"]) + 2 == len(list(model.parameters()))


def test_backbone_goes_round_through_a_checkpoint(stripes, checkpoint):
    source = make(stripes, seed=11)
    model = make(stripes, str(checkpoint), seed=3)
    assert torch.equal(model.network.layer4[1].conv2.weight, source.network.layer4[1].conv2.weight)
    assert not torch.equal(model.network.fc.weight, source.network.fc.weight)
    torch.testing.assert_close(model.mean, source.mean)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert model.weights["sha256"] == digest
    assert model.weights["official"] is False


@pytest.fixture
def published(tmp_path, monkeypatch, stripes):
    """A published checkpoint, as torchvision ships them, at an address on the disk."""
    path = tmp_path / "elsewhere.pth"
    torch.manual_seed(4)
    torch.save(torchvision.models.resnet18().state_dict(), path)
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    entry = Published(path.as_uri(), prefix)
    monkeypatch.setitem(weights.PUBLISHED, ("imagenet", "resnet18"), entry)
    return path


def test_published_weights_are_downloaded_verified_and_used(stripes, tmp_path, published):
    model = make(stripes, "imagenet", data_dir=str(tmp_path / "data"))
    state = torch.load(published, weights_only=True)
    assert torch.equal(model.network.conv1.weight, state["conv1.weight"])
    assert model.mean.flatten().tolist() == pytest.approx(IMAGENET_NORMALISATION[0])
    assert model.weights["official"] is True
    published.unlink()  # the second time nothing is downloaded
    make(stripes, "imagenet", data_dir=str(tmp_path / "data"))


def test_tampered_download_is_refused_and_leaves_nothing(stripes, tmp_path, published):
    published.write_bytes(published.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=r"cannot get .*invalid hash value"):
        make(stripes, "imagenet", data_dir=str(tmp_path / "data"))
    assert not list((tmp_path / "data" / "weights").glob("*.pth"))


def test_tampered_local_weights_are_refused(stripes, tmp_path, published):
    make(stripes, "imagenet", data_dir=str(tmp_path / "data"))
    (local,) = (tmp_path / "data" / "weights").glob("*.pth")
    local.write_bytes(local.read_bytes()[:1000])
    with pytest.raises(InputError, match="is damaged or another file"):
        make(stripes, "imagenet", data_dir=str(tmp_path / "data"))


def test_without_network_the_error_says_what_to_put_where(stripes, tmp_path, published):
    published.unlink()
    with pytest.raises(InputError, match=r"cannot get .*imagenet-resnet18.*; put file:.* there"):
        make(stripes, "imagenet", data_dir=str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no checkpoint, or a damaged one"),
        (b"not a checkpoint", "no checkpoint, or a damaged one"),
        (None, "there is no .*; make it with a pretraining notebook"),
    ],
)
def test_unreadable_checkpoints(tmp_path, content, message):
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_weights("resnet18", str(path), "nowhere")


def test_truncated_checkpoint_is_refused(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-5000])
    with pytest.raises(InputError, match="damaged"):
        load_weights("resnet18", str(checkpoint), "nowhere")


def test_checkpoint_with_code_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"network": "resnet18", "state": print}, path)
    with pytest.raises(InputError, match="no checkpoint"):
        load_weights("resnet18", str(path), "nowhere")


def test_checkpoint_of_another_architecture_is_named(stripes, checkpoint):
    with pytest.raises(InputError, match="holds a resnet18, not a resnet50"):
        make(stripes, str(checkpoint), network="resnet50")


def test_checkpoint_that_claims_another_architecture_does_not_load(stripes, tmp_path):
    state = torchvision.models.resnet50().state_dict()
    content = weights.pack_checkpoint("resnet18", state, [0.5] * 3, [0.2] * 3)
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="does not fit a resnet18"):
        make(stripes, str(path))


def test_barlow_twins_is_published_for_resnet50_only(stripes):
    with pytest.raises(InputError, match="no published barlow_twins weights of a resnet18"):
        make(stripes, "barlow_twins")


def test_the_mode_of_batch_norm_does_not_change_the_outputs(stripes):
    images = stripes.test.images
    trained, *others = (
        Classifier("resnet18", 3, [0.5] * 3, [0.2] * 3, norm).eval()
        for norm in ("train", "frozen", "affine_frozen")
    )
    for other in others:
        other.load_state_dict(trained.state_dict())
        torch.testing.assert_close(other(images), trained(images))
