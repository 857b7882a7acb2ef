"""Batches on the device, and the parts of the graphed step that a CPU can show."""

import warnings
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.experiment import device, evaluation
from helpers.experiment.augmentation import Augmentation
from helpers.experiment.data import Split
from helpers.experiment.device import GraphedForward, pick_device, upload
from helpers.experiment.evaluation import evaluate
from helpers.experiment.models import make_model
from helpers.experiment.training import fit

SHAPE = (8, 3, 16, 16)


def make(data, batch_norm="train"):
    return make_model("resnet18", "random", data, "nowhere", batch_norm, 0)


def run(model, data, batch_size=40, precision="float32"):
    full = Augmentation(0.4, 20.0, 0.3)
    training = fit(model, data, full, 1, batch_size, True, 1e-3, 1e-3, 1e-6, precision, 0)
    return training.history.to_csv(), evaluate(model, data, {"blur": [0.5]}).logits.tobytes()


class Elsewhere(torch.Tensor):
    """Images that claim to be on another device than the network."""

    device = torch.device("meta")


def test_a_set_that_does_not_fit_is_uploaded_and_gives_the_same_bits(stripes, monkeypatch):
    expected, uploads, real = run(make(stripes), stripes), [], upload

    def spy(images, index, target):
        uploads.append(len(index))
        return real(images, index, target)

    monkeypatch.setattr(device, "upload", spy)
    large = lambda split, _: Split(split.images.as_subclass(Elsewhere), split.labels)  # noqa: E731
    monkeypatch.setattr(Split, "on", large)
    assert run(make(stripes), stripes) == expected
    # An epoch; the training subset and the validation set; the test and validation set.
    assert uploads == [40, 40, 16, 30, 30, 30, 30]


def test_training_score_and_evaluation_read_the_copy_on_the_device(stripes, monkeypatch):
    expected = run(make(stripes), stripes)
    model, copies = make(stripes), {}
    for split in (stripes.train, stripes.validation, stripes.test):
        copies[id(split)] = Split(split.images.clone(), split.labels.clone())
        split.images.zero_()
    monkeypatch.setattr(Split, "on", lambda split, _: copies[id(split)])
    assert run(model, stripes) == expected


class Watch(TorchDispatchMode):
    """Counts the operations for whose result the host waits, and the largest copy of images."""

    waits, largest = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name, result = function.overloadpacket.__name__, function(*args, **(kwargs or {}))
        self.waits += name in {"_local_scalar_dense", "nonzero", "masked_select", "equal"}
        if isinstance(result, torch.Tensor) and result.dtype == torch.uint8 and result.ndim == 4:
            self.largest = max(self.largest, len(result))
        return result


def test_no_step_makes_the_host_wait_and_no_copy_is_larger_than_a_batch(stripes, monkeypatch):
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 16)  # also of a set mapped from a file
    watches = []
    for images in (32, 96):
        few = Split(stripes.train.images[:images], stripes.train.labels[:images])
        data = replace(stripes, train=few)
        model = make(data)
        with Watch() as watch:
            run(model, data, 16, "bfloat16")
        watches.append(watch)
    assert watches[0].waits == watches[1].waits > 0  # those at the end of an epoch
    assert watches[1].largest == 16


@pytest.mark.parametrize(("given", "threads"), [(None, [1]), ("2", [])])
def test_a_run_uses_one_core_unless_the_environment_says_otherwise(monkeypatch, given, threads):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert pick_device() == torch.device("cpu")
    assert asked == threads


@pytest.fixture
def captures(monkeypatch):
    """Captures that a CPU can make: they warm up as CUDA's do, and count their replays."""
    captures = []

    def capture(module, arguments):
        for _ in range(3):
            module(*arguments).sum().backward(inputs=[*module.parameters()][-1:])
            module.zero_grad()
        captures.append([])
        return lambda images, replays=captures[-1]: replays.append(len(images)) or module(images)

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    return captures


def test_warming_up_leaves_no_trace_and_only_captured_sizes_are_replayed(stripes, captures):
    model = make(stripes)
    forward = GraphedForward(model, SHAPE, "float32")
    forward.prepare()
    assert captures == []  # on a CPU
    forward.enabled = True
    before = {name: value.clone() for name, value in model.state_dict().items()}
    places = [buffer.data_ptr() for buffer in model.buffers()]
    forward.prepare()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert places == [buffer.data_ptr() for buffer in model.buffers()]
    forward(torch.rand(SHAPE)), forward(torch.rand(5, *SHAPE[1:]))
    assert captures == [[8]]


@pytest.mark.parametrize(("batch_norm", "count"), [("train", 1), ("affine_frozen", 2)])
def test_a_change_of_mode_needs_a_new_graph(stripes, captures, batch_norm, count):
    model = make(stripes, batch_norm)
    forward = GraphedForward(model, SHAPE, "float32")
    forward.enabled = True
    for epoch in (1, 2, 3):
        model.train(epoch=epoch)
        forward.prepare()
        model.eval()
    assert len(captures) == count


def test_a_failed_capture_is_a_warning_and_training_continues(stripes, monkeypatch):
    def fail(module, arguments):
        module(*arguments)
        raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    model = make(stripes)
    forward = GraphedForward(model, SHAPE, "float32")
    forward.enabled = True
    with pytest.warns(UserWarning, match="training is slower: CUDA error: .* capturing$"):
        forward.prepare()
    assert model.network.bn1.num_batches_tracked == 0
    assert forward(torch.rand(SHAPE)).shape == (8, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forward.prepare()  # not tried again in each epoch
