"""Barlow Twins: the loss term by term, the views, and what a pretraining leaves."""

import numpy as np
import pytest
import torch

from helpers.experiment.barlow_twins import (
    barlow_twins_loss,
    fit_barlow_twins,
    make_projector,
    random_view,
)
from helpers.experiment.models import load_weights, make_model


def loss_by_loops(first: np.ndarray, second: np.ndarray, weight: float) -> float:
    """Return the sums of the paper's equations 1 and 2, term by term."""
    first, second = first - first.mean(0), second - second.mean(0)
    total = 0.0
    for i in range(first.shape[1]):
        for j in range(first.shape[1]):
            norm = np.sqrt((first[:, i] ** 2).sum()) * np.sqrt((second[:, j] ** 2).sum())
            c = (first[:, i] * second[:, j]).sum() / norm
            total += (1 - c) ** 2 if i == j else weight * c**2
    return total


def test_the_loss_is_that_of_the_paper():
    first, second = np.random.default_rng(0).normal(size=(2, 40, 6)) * 3 + 1
    ours = barlow_twins_loss(torch.from_numpy(first), torch.from_numpy(second), 0.0051)
    assert ours.item() == pytest.approx(loss_by_loops(first, second, 0.0051), rel=1e-4)


def test_equal_and_uncorrelated_embeddings_have_no_loss():
    # Columns of a Hadamard matrix, without the constant one, are uncorrelated.
    hadamard = torch.tensor([[1.0]])
    for _ in range(3):
        hadamard = torch.cat([torch.cat([hadamard] * 2, 1), torch.cat([hadamard, -hadamard], 1)])
    embeddings = hadamard[:, 1:]
    assert barlow_twins_loss(embeddings, embeddings, 1.0).item() == pytest.approx(0, abs=1e-6)
    # All dimensions opposed: each of 7 diagonal terms is (1 - -1)^2.
    assert barlow_twins_loss(embeddings, -embeddings, 1.0).item() == pytest.approx(28, rel=1e-4)


def test_the_projector_ends_in_a_linear_layer():
    projector = make_projector(8, [16, 16, 4])
    kinds = [type(layer).__name__ for layer in projector]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"]
    assert projector(torch.zeros(2, 8)).shape == (2, 4)


def test_views_differ_by_image_and_draw_and_stay_in_range():
    image = torch.randint(0, 256, (1, 3, 20, 20), dtype=torch.uint8)
    images = image.repeat(400, 1, 1, 1)
    view = random_view(images, torch.Generator().manual_seed(0))
    assert view.shape == images.shape
    assert view.dtype == torch.float32
    assert view.min() >= 0
    assert view.max() <= 1 + 1e-6
    assert len(view.flatten(1).unique(dim=0)) == 400
    assert torch.equal(view, random_view(images, torch.Generator().manual_seed(0)))
    grey = (view.amax(1) - view.amin(1)).flatten(1).amax(1) < 1e-5
    assert grey.float().mean().item() == pytest.approx(0.3, abs=0.07)
    left, right = image[..., :10], image[..., 10:]
    halves = torch.cat([left * 0, right * 0 + 200], 3).repeat(400, 1, 1, 1)
    view = random_view(halves, torch.Generator().manual_seed(1)).mean(1)
    mirrored = view[:, :, 0].mean(1) > view[:, :, -1].mean(1)
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.08)


def test_a_pretraining_lowers_its_loss_and_leaves_a_backbone(stripes, tmp_path):
    model = make_model("resnet18", "random", stripes, "nowhere", "train", 0)
    training = fit_barlow_twins(model, stripes, [32, 32], 0.0051, 8, 48, 1e-3, 1e-6, "float32", 0)
    loss = training.history.train_loss
    assert loss.iloc[-1] < 0.7 * loss[0]
    assert list(training.history.columns) == ["epoch", "train_loss", "validation_loss"]
    assert training.best_epoch == 8
    path = tmp_path / "weights.pt"
    path.write_bytes(model.pack_backbone())
    weights = load_weights("resnet18", str(path), "nowhere")
    assert not any(name.startswith("fc.") for name in weights.state)
    assert torch.equal(weights.state["conv1.weight"], model.network.conv1.weight)


@pytest.mark.parametrize(
    ("batch_norm", "epochs"), [("train", 2), ("affine_frozen", 1), ("frozen", 0)]
)
def test_statistics_move_in_the_epochs_that_the_mode_allows(stripes, batch_norm, epochs):
    model = make_model("resnet18", "random", stripes, "nowhere", batch_norm, 0)
    fit_barlow_twins(model, stripes, [16, 16], 0.0051, 2, 48, 1e-3, 1e-6, "float32", 0)
    batches = 2 * len(stripes.train.images) // 48  # two views of each
    assert model.network.bn1.num_batches_tracked == epochs * batches
