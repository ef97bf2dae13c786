"""Trunks from torchvision, without their last classifier."""

from __future__ import annotations

from torch import nn
from torchvision.models import alexnet, resnet

#: ResNet-50 and AlexNet are the papers'; the small ResNets are for machines without a GPU.
_RESNETS = {
    'resnet18': resnet.resnet18,
    'resnet34': resnet.resnet34,
    'resnet50': resnet.resnet50,
    'resnet101': resnet.resnet101,
    'resnet152': resnet.resnet152,
}


def classifier_trunk(name: str) -> tuple[nn.Module, int]:
    """Return a network from (B, 3, S, S) to (B, F) features, and F.

    Args:
        name: `alexnet`, or a ResNet of torchvision: `resnet18` to `resnet152`.

    Raises:
        ValueError: Unknown name.
    """
    if name == 'alexnet':
        network = alexnet(weights=None)
        features = network.classifier[-1].in_features
        network.classifier = network.classifier[:-1]
        return network, features
    network = _resnet(name)
    features = network.fc.in_features
    network.fc = nn.Identity()
    return network, features


def stride16_trunk(name: str) -> tuple[nn.Module, int]:
    """Return a ResNet to (B, C, S / 16, S / 16), and C: no pooling, the last stage at stride 1.

    Args:
        name: `resnet18` to `resnet152`.

    Raises:
        ValueError: Unknown name.
    """
    network = _resnet(name)
    first = network.layer4[0]
    # The 3x3 convolution that halves is the second of a bottleneck, the first of a basic block.
    halving = first.conv2 if isinstance(first, resnet.Bottleneck) else first.conv1
    halving.stride = (1, 1)
    first.downsample[0].stride = (1, 1)
    stem = (network.conv1, network.bn1, network.relu, network.maxpool)
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    return nn.Sequential(*stem, *stages), network.fc.in_features


def _resnet(name: str) -> resnet.ResNet:
    if name not in _RESNETS:
        raise ValueError(f'backbone {name!r} is unknown, expected alexnet or {", ".join(_RESNETS)}')
    return _RESNETS[name](weights=None)
