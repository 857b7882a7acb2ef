import numpy as np
import pytest
import torch

from helpers.experiment.models import make_model
from helpers.experiment.pretraining import barlow_twins_loss, fit_barlow_twins, make_projector
from helpers.experiment.views import draw_view
from helpers.experiment.weights import load_weights
from test_training import Memory


def loss_by_loops(first: np.ndarray, second: np.ndarray, weight: float) -> float:
    """The sums of the paper's equations 1 and 2, term by term."""
    first, second = first - first.mean(0), second - second.mean(0)
    total = 0.0
    for i in range(first.shape[1]):
        for j in range(first.shape[1]):
            norm = np.sqrt((first[:, i] ** 2).sum()) * np.sqrt((second[:, j] ** 2).sum())
            c = (first[:, i] * second[:, j]).sum() / norm
            total += (1 - c) ** 2 if i == j else weight * c**2
    return total


def test_loss_is_that_of_the_paper():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 40, 6)) * 3 + 1
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


def test_projector_ends_in_a_linear_layer():
    projector = make_projector(8, [16, 16, 4])
    kinds = [type(layer).__name__ for layer in projector]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"]
    assert projector(torch.zeros(2, 8)).shape == (2, 4)


def test_views_differ_by_image_and_draw_and_stay_in_range():
    images = torch.randint(0, 256, (1, 3, 20, 20), dtype=torch.uint8).repeat(50, 1, 1, 1)
    view = draw_view(images, torch.Generator().manual_seed(0))
    assert view.shape == images.shape
    assert view.dtype == torch.float32
    assert view.min() >= 0
    assert view.max() <= 1 + 1e-6
    assert len(view.flatten(1).unique(dim=0)) == 50
    again = draw_view(images, torch.Generator().manual_seed(0))
    assert torch.equal(view, again)


def test_barlow_twins_lowers_its_loss_and_leaves_a_checkpoint(stripes, tmp_path):
    model = make_model("resnet18", "random", stripes, "nowhere", "train", 0)
    training = fit_barlow_twins(model, stripes, [32, 32], 0.0051, 8, 48, 1e-3, 1e-6, "float32", 0)
    loss = training.history.train_loss
    assert loss.iloc[-1] < 0.7 * loss[0]
    path = tmp_path / "weights.pt"
    path.write_bytes(model.pack_backbone())
    weights = load_weights("resnet18", str(path), "nowhere")
    assert not any(name.startswith("fc.") for name in weights.state)
    assert torch.equal(weights.state["conv1.weight"], model.network.conv1.weight)


@pytest.mark.parametrize(
    ("batch_norm", "epochs"), [("train", 2), ("affine_frozen", 1), ("frozen", 0)]
)
def test_statistics_move_in_the_epochs_that_the_parameter_names(stripes, batch_norm, epochs):
    model = make_model("resnet18", "random", stripes, "nowhere", batch_norm, 0)
    fit_barlow_twins(model, stripes, [16, 16], 0.0051, 2, 48, 1e-3, 1e-6, "float32", 0)
    batches = 2 * len(stripes.train.images) // 48  # two views of each
    assert model.network.bn1.num_batches_tracked == epochs * batches


def test_same_seed_same_bits(stripes):
    histories = []
    for _ in range(2):
        model = make_model("resnet18", "random", stripes, "nowhere", "train", 3)
        result = fit_barlow_twins(model, stripes, [16, 16], 0.0051, 1, 48, 1e-3, 1e-6, "float32", 3)
        histories.append(result.history)
    assert histories[0].equals(histories[1])


def test_a_pretraining_that_is_killed_goes_on_to_the_same_bits(stripes):
    def pretrain(checkpoint=None):
        model = make_model("resnet18", "random", stripes, "nowhere", "train", 3)
        arguments = [16, 16], 0.0051, 3, 48, 1e-3, 1e-6, "float32", 3
        return model, fit_barlow_twins(model, stripes, *arguments, checkpoint=checkpoint)

    whole, expected = pretrain()
    memory = Memory(1, 3)
    for _ in memory.deaths:
        with pytest.raises(KeyboardInterrupt):
            pretrain(memory)
    model, result = pretrain(memory)
    assert memory.epoch == 3
    assert result.history.equals(expected.history)
    assert model.pack_backbone() == whole.pack_backbone()
