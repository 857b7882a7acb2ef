"""Barlow Twins: the loss term by term, the views, and what a pretraining leaves."""

import numpy as np
import pytest
import torch

from helpers.experiment.barlow_twins import barlow_twins_loss, fit_barlow_twins, random_view
from helpers.experiment.models import load_weights, make_model


def test_the_loss_is_that_of_the_paper():
    first, second = np.random.default_rng(0).normal(size=(2, 40, 6)) * 3 + 1
    expected = 0.0  # equations 1 and 2, term by term
    for i, j in np.ndindex(6, 6):
        c = np.corrcoef(first[:, i], second[:, j])[0, 1]
        expected += (1 - c) ** 2 if i == j else 0.0051 * c**2
    ours = barlow_twins_loss(torch.from_numpy(first), torch.from_numpy(second), 0.0051)
    assert ours.item() == pytest.approx(expected, rel=1e-4)


def test_views_differ_by_image_and_draw_and_stay_in_range():
    image = torch.randint(0, 256, (1, 3, 20, 20), dtype=torch.uint8)
    images = image.repeat(400, 1, 1, 1)
    view = random_view(images, torch.Generator().manual_seed(0))
    assert (view.shape, view.dtype) == (images.shape, torch.float32)
    assert 0 <= view.min() < view.max() <= 1 + 1e-6
    assert len(view.flatten(1).unique(dim=0)) == 400
    assert torch.equal(view, random_view(images, torch.Generator().manual_seed(0)))
    grey = (view.amax(1) - view.amin(1)).flatten(1).amax(1) < 1e-5
    assert grey.float().mean().item() == pytest.approx(0.3, abs=0.07)
    images[..., :10], images[..., 10:] = 0, 200
    view = random_view(images, torch.Generator().manual_seed(1)).mean((1, 2))
    assert (view[:, 0] > view[:, -1]).float().mean().item() == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("batch_norm", "moving"), [("train", 6), ("affine_frozen", 5), ("frozen", 0)]
)
def test_a_pretraining_lowers_its_loss_and_leaves_a_backbone(stripes, tmp_path, batch_norm, moving):
    model = make_model("resnet18", "random", stripes, "nowhere", batch_norm, 0)
    training = fit_barlow_twins(model, stripes, [32, 32], 0.0051, 6, 48, 1e-3, 1e-6, "float32", 0)
    loss = training.history.train_loss
    assert loss.iloc[-1] < 0.8 * loss[0]
    assert list(training.history.columns) == ["epoch", "train_loss", "validation_loss"]
    assert training.best_epoch == 6
    # Two views of each of two batches, in the epochs in which the statistics are not fixed.
    assert model.network.bn1.num_batches_tracked == moving * 4
    path = tmp_path / "weights.pt"
    path.write_bytes(model.pack_backbone())
    _, state, _ = load_weights("resnet18", str(path), "nowhere")
    assert not any(name.startswith("fc.") for name in state)
    assert torch.equal(state["conv1.weight"], model.network.conv1.weight)
