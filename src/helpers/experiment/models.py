"""Networks: a torchvision ResNet with input normalisation, a new head, and initial weights."""

import copy
import functools
import io
import itertools
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from helpers import InputError
from helpers.catalogue import PUBLISHED
from helpers.data_files import digest_file, from_root

from .data import Data
from .device import pick_device
from .fetch import locate_weights
from .small_maps import SmallMapConv2d, use_small_maps

#: Keys of a file of weights that `Classifier` writes.
PACKED = ("network", "state", "mean", "std")

#: Channel means and standard deviations of ImageNet's training set, as in torchvision.
IMAGENET_NORMALISATION = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


class Classifier(nn.Module):
    """A ResNet whose first step normalises, so that it takes images as they are stored.

    ``mean`` and ``std`` per channel are for pixels in [0, 1]. ``batch_norm`` is "train"; "frozen",
    with affine parameters and statistics fixed; or "affine_frozen", with affine parameters fixed,
    and statistics fixed in the first epoch.
    """

    def __init__(self, name: str, classes: int, mean: list[float], std: list[float], batch_norm):
        super().__init__()
        self.name, self.batch_norm = name, batch_norm
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.network = torchvision.models.get_model(name, num_classes=classes)
        if batch_norm != "train":
            for module in self._batch_norms():
                module.requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return self.mean.device

    @property
    def machine(self) -> dict:
        """Device, and the CPU's threads and vector instructions, on which sums depend."""
        device = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        vectors = torch.backends.cpu.get_cpu_capability()
        return {"device": device, "threads": torch.get_num_threads(), "vectors": vectors}

    @property
    def peak_gpu_memory_bytes(self) -> int | None:
        """Peak GPU memory of this process; None on a CPU."""
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None

    @property
    def head(self) -> nn.Linear:
        """The last layer; everything else is the backbone."""
        return self.network.fc

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C) of images (N, 3, H, W): uint8, or float in [0, 1]."""
        white = 255 if images.dtype == torch.uint8 else 1
        images = (images - white * self.mean).div_(white * self.std)
        return self.network(images.contiguous(memory_format=torch.channels_last))

    def train(self, mode: bool = True, epoch: int = 1) -> "Classifier":
        """Switch to training mode in an epoch (from 1); fixed statistics do not change."""
        super().train(mode)
        if self.batch_norm == "frozen" or (self.batch_norm == "affine_frozen" and epoch == 1):
            for module in self._batch_norms():
                module.eval()
        return self

    def parameter_groups(self, backbone_lr: float, head_lr: float) -> list[dict]:
        """Return the trainable parameters of backbone and head, each with its learning rate."""
        trained = [(name, p) for name, p in self.network.named_parameters() if p.requires_grad]
        backbone = [p for name, p in trained if not name.startswith("fc.")]
        head = [p for name, p in trained if name.startswith("fc.")]
        return [{"params": backbone, "lr": backbone_lr}, {"params": head, "lr": head_lr}]

    def pack_weights(self) -> bytes:
        """Return the network in float16, as a file for `load_network` and `load_weights`."""
        state = {name: value.cpu() for name, value in self.round_weights().items()}
        mean, std = self.mean.flatten().tolist(), self.std.flatten().tolist()
        content = zip(PACKED, (self.name, state, mean, std), strict=True)
        torch.save(dict(content), buffer := io.BytesIO())
        return buffer.getvalue()

    def round_weights(self) -> dict[str, Tensor]:
        """Return the network's state dict with float16 in place of float32."""
        state = self.network.state_dict().items()
        return {name: v.half() if v.is_floating_point() else v for name, v in state}

    def load(self, state: dict[str, Tensor], origin: str, head: bool = False) -> None:
        """Load weights, with or without those of the head; raise InputError if they do not fit."""
        state = {name: value for name, value in state.items() if head or name[:3] != "fc."}
        try:
            missing, unexpected = self.network.load_state_dict(state, strict=False)
            wrong = [*unexpected, *(name for name in missing if head or name[:3] != "fc.")]
        except RuntimeError as error:
            wrong = [" ".join(str(error).splitlines()[1].split())]
        if wrong:
            fault = f"does not fit a {self.name} ({wrong[0]})"
            raise InputError(f"{origin} {fault}; give weights of the same network")

    def _batch_norms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]


def make_model(
    network: str, start: str, data: Data, data_dir: str, batch_norm: str, seed: int
) -> Classifier:
    """Make a network for a data set, on the device of `pick_device`.

    The input is normalised by the mean and standard deviation of the training set or, with
    pretrained weights, of the data that they were trained on, as in the paper (section 6). The
    result's attribute ``weights`` describes the initial weights for the record.

    Parameters
    ----------
    network, batch_norm : "resnet18" or "resnet50", and its mode, see `Classifier`
    start : "random", by ``seed``; "imagenet", torchvision's supervised weights; "barlow_twins", the
        ResNet-50 of Zbontar et al. (2021); or the path of a run's ``weights.pt``. Weights that are
        missing, corrupt or of another architecture raise InputError.
    data_dir : folder whose subfolder ``weights`` holds the published weights
    """
    if start == "random":
        path, state, (mean, std) = None, {}, data.mean_and_std()
    else:
        path, state, (mean, std) = load_weights(network, start, data_dir)
    # torchvision initialises from the global generator: seed it, then restore it.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(network, len(data.classes), mean, std, batch_norm)
    if state:
        model.load(state, start)
    model.weights = {
        "initialisation": start,
        "sha256": digest_file(path) if path else None,
        "official": path is None or (start, network) in PUBLISHED,
    }
    return _move(model)


def load_network(folder: str | Path) -> Classifier:
    """Return the trained network in a record's folder, in evaluation mode.

    The float16 weights become float32, on the device of `pick_device`. A relative path starts at
    the root of the repository. Missing or corrupt weights raise InputError.
    """
    path = from_root(folder) / "weights.pt"
    content = _read(path, "give the folder of a record with weights (records/README.md)")
    classes = len(content["state"]["fc.bias"])
    model = Classifier(content["network"], classes, content["mean"], content["std"], "train")
    model.load(content["state"], str(path), head=True)
    return _move(model).eval()


def _move(model: Classifier) -> Classifier:
    device = pick_device()
    if device.type == "cpu":
        use_small_maps(model)
    return model.to(device, memory_format=torch.channels_last)


def fuse_batch_norm(model: Classifier) -> Classifier:
    """Return a copy for inference only, with batch norms fused into the preceding convolutions."""
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    for parent in list(fused.modules()):
        # torchvision's ResNets register their layers in the order of the forward pass.
        for (name, conv), (norm_name, norm) in itertools.pairwise(parent.named_children()):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                conv = fuse_conv_bn_eval(conv, norm)
                if isinstance(conv, SmallMapConv2d):
                    conv.matrix = functools.cache(conv.matrix)  # its weights no longer change
                setattr(parent, name, conv)
                setattr(parent, norm_name, nn.Identity())
    return fused


def load_weights(network: str, start: str, data_dir: str) -> tuple:
    """Return path and state dict of weights, and mean and std of the data they were trained on."""
    if (start, network) in PUBLISHED:
        path = locate_weights(start, network, data_dir).fetch()
        return path, _read(path, "download it again", ()), IMAGENET_NORMALISATION
    path = from_root(start)
    content = _read(path, "give the weights.pt of a run, or choose random or published weights")
    return path, content["state"], (content["mean"], content["std"])


def _read(path: Path, advice: str, needed: Iterable[str] = PACKED) -> dict:
    """Read tensors and plain values from a file, without running pickled code."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # torch does not verify checksums
                if corrupt := archive.testzip():
                    raise ValueError(f"{corrupt} differs from its checksum")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or not set(needed) <= content.keys():
            raise ValueError("it was not written by this project")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; {advice}") from None
    except Exception as error:  # torch raises almost anything for a corrupt file
        reason = (str(error) or type(error).__name__).split("\n")[0]
        raise InputError(f"{path} holds no weights, or is corrupt ({reason}); {advice}") from None
    return content
