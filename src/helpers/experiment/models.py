"""Networks: a torchvision ResNet behind its normalisation, with a fresh head."""

import torch
import torchvision
from torch import Tensor, nn

from helpers import InputError

from .data import Data
from .device import pick_device
from .small_maps import use_small_maps
from .weights import Weights, load_weights, pack_checkpoint


class Classifier(nn.Module):
    """A network whose first layer normalises, so that it takes images as they are stored.

    Parameters
    ----------
    name : "resnet18" or "resnet50"
    classes : outputs of the fresh head
    mean, std : of each channel, for pixels in [0, 1]
    batch_norm : "train"; "frozen", affine parameters and statistics fixed; or "affine_frozen",
        affine parameters fixed, statistics fixed in the first epoch only
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
        """Where the parameters are."""
        return self.mean.device

    @property
    def machine(self) -> dict:
        """What the record says of the device; sums depend on the CPU's threads and vectors too."""
        return {
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "vectors": torch.backends.cpu.get_cpu_capability(),
        }

    @property
    def peak_gpu_memory_bytes(self) -> int | None:
        """The most memory of the GPU that this process has used; None on a CPU."""
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None

    @property
    def head(self) -> nn.Linear:
        """The last layer; all else is the backbone."""
        return self.network.fc

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, C) of images: uint8, or float in [0, 1]; (N, 3, H, W)."""
        white = 255 if images.dtype == torch.uint8 else 1
        images = (images - white * self.mean).div_(white * self.std)
        return self.network(images.contiguous(memory_format=torch.channels_last))

    def train(self, mode: bool = True, epoch: int = 1) -> "Classifier":
        """Switch to training in an epoch (from 1); fixed statistics are used and stay."""
        super().train(mode)
        if self.batch_norm == "frozen" or (self.batch_norm == "affine_frozen" and epoch == 1):
            for module in self._batch_norms():
                module.eval()
        return self

    def parameter_groups(self, backbone_lr: float, head_lr: float) -> list[dict]:
        """Return the trained parameters of backbone and head, each with its learning rate."""
        head = set(self.head.parameters())
        trained = [p for p in self.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trained if p not in head], "lr": backbone_lr},
            {"params": [p for p in trained if p in head], "lr": head_lr},
        ]

    def pack_backbone(self) -> bytes:
        """Return a checkpoint of the network without its head."""
        state = self.network.state_dict()
        backbone = {name: state[name].cpu() for name in state if not name.startswith("fc.")}
        mean, std = self.mean.flatten().tolist(), self.std.flatten().tolist()
        return pack_checkpoint(self.name, backbone, mean, std)

    def load_backbone(self, weights: Weights) -> None:
        """Load a state dict into all but the head.

        Raises
        ------
        InputError : where it is of another architecture
        """
        state = {name: value for name, value in weights.state.items() if name[:3] != "fc."}
        try:
            missing, unexpected = self.network.load_state_dict(state, strict=False)
        except RuntimeError as error:
            missing, unexpected = [], str(error).splitlines()[1:2]
        if unexpected or set(missing) != {"fc.weight", "fc.bias"}:
            culprit = " ".join([*unexpected, *missing][0].split())
            raise InputError(
                f"{weights.summary['initialisation']} does not fit a {self.name} ({culprit});"
                " give weights of the same network"
            )

    def _batch_norms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]


def make_model(
    network: str,
    initialisation: str,
    data: Data,
    data_dir: str,
    batch_norm: str,
    seed: int,
) -> Classifier:
    """Make a network for a data set on the device that there is.

    From random weights it normalises by the training set's mean and standard deviation, from
    pretrained ones by those of the data that they were trained on, as in the paper (section 6).

    Parameters
    ----------
    network, initialisation, data_dir : see `load_weights`
    data : gives the number of classes and the normalisation
    batch_norm : see `Classifier`
    seed : of the random weights

    Returns
    -------
    Classifier ; its attribute ``weights`` says, for the record, what it started from

    Raises
    ------
    InputError : see `load_weights`
    """
    weights = load_weights(network, initialisation, data_dir)
    mean, std = weights.normalisation or data.mean_and_std()
    # torchvision's initialisers take no generator: seed the global one, and put it back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(network, len(data.classes), mean, std, batch_norm)
    if weights.state:
        model.load_backbone(weights)
    model.weights = weights.summary
    device = pick_device()
    if device.type == "cpu":
        use_small_maps(model)
    return model.to(device, memory_format=torch.channels_last)
