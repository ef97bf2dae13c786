"""Every published system learns: it overfits 32 faces to near zero, through all of its phases."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from headpose_ros.geometry.landmarks import SCHEMES

from headpose_training.data.drawn_faces import write_real_faces
from headpose_training.data.face_model import FaceModel
from headpose_training.data.formats import read_faces
from headpose_training.data.module import FaceCrops, with_depth
from headpose_training.metrics.landmarks import nme_outer_eyes
from headpose_training.metrics.pose import geodesic_deg
from headpose_training.systems.base import Optimization, System
from headpose_training.systems.ccr import CcrSystem
from headpose_training.systems.hopenet import HopenetSystem, frozen_modules
from headpose_training.systems.mnn import MagnitudeBalance, MnnSystem
from headpose_training.systems.mnn_direct import MnnDirectSystem
from headpose_training.systems.parts3d import Parts3dSystem
from headpose_training.systems.ranking import RANK_WIDTH, PairingLayer, RankingSystem

FACES = 32


@dataclass
class Case:
    """A system, its phases with steps and learning rates, and what must be left of the errors."""

    make: type
    arguments: dict
    phases: dict
    degrees: float
    nme: float = 0.0
    batch: int = FACES


CASES = {
    'ccr': Case(CcrSystem, {'width': 16, 'input_size': 64}, {'all': (200, 6e-3)}, 2.5, 0.08),
    'hopenet': Case(
        HopenetSystem, {'backbone': 'resnet18', 'input_size': 32}, {'all': (80, 1e-3)}, 2.0
    ),
    'mnn': Case(
        MnnSystem,
        {'width': 8, 'input_size': 32},
        {'landmarks': (100, 5e-3), 'all': (250, 5e-3)},
        3.0,
        0.10,
    ),
    # Its maps take more steps, hence the small batches; from 47 degrees and an NME of 1.
    'parts3d': Case(
        Parts3dSystem,
        {
            'trunk': 'resnet18',
            'width': 32,
            'depth_layers': (1, 1, 1, 1),
            'depth_width': 8,
            'input_size': 64,
        },
        {
            'detection': (20, 2e-3),
            'regression': (450, 8e-3),
            'joint': (5, 1e-5),
            'depth': (140, 3e-3),
        },
        8.0,
        0.2,
        batch=8,
    ),
    'mnn_direct': Case(
        MnnDirectSystem,
        {'steady_weight': 0.0},
        {'all': (60, 4e-3)},
        12.0,
        0.35,
        batch=8,
    ),
    'ranking': Case(
        RankingSystem,
        {'backbone': 'resnet18', 'input_size': 32},
        {'ranking': (15, 1e-3), 'regression': (100, 1e-3)},
        4.0,
    ),
}


@pytest.fixture(scope='module')
def faces(tmp_path_factory, head_model):
    folder = write_real_faces(tmp_path_factory.mktemp('faces'), FACES)
    head = FaceModel.load(head_model).with_our_zero_pose()
    return [with_depth(face, head) for face in read_faces('real_faces', folder)]


def batch_of(faces, spec):
    crops = FaceCrops(faces, spec)
    return torch.utils.data.default_collate([crops[i, i] for i in range(len(faces))])


def train(system, batch, case, monkeypatch):
    """Train as Lightning would, phase after phase."""
    for phase, (steps, rate) in case.phases.items():
        monkeypatch.setattr(System, 'phase', phase)
        optimizer = Optimization('adam', rate).build(system.parameter_groups())
        system.train()
        system.on_train_epoch_start()
        decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
        for _ in range(steps):
            chosen = torch.randperm(FACES)[: case.batch]
            parts = system.losses({name: labels[chosen] for name, labels in batch.items()})
            optimizer.zero_grad()
            torch.stack(list(parts.values())).sum().backward()
            optimizer.step()
            decay.step()
        # Phases without a part leave it frozen: the next phase's groups need all of it.
        system.requires_grad_(True)


def errors(system, batch):
    system.eval()
    with torch.no_grad():
        out = system.network(batch['image'])
    rotations = (out.rotation.double().numpy(), batch['rotation'].double().numpy())
    degrees = geodesic_deg(*rotations).mean()
    if out.points is None:
        return degrees, 0.0
    true = batch['points'][:, list(SCHEMES[system.spec.scheme])]
    return degrees, nme_outer_eyes(out.points.numpy(), true.numpy()).mean()


@pytest.mark.parametrize('name', CASES)
def test_overfits_32_faces(name, faces, monkeypatch):
    torch.manual_seed(0)
    case = CASES[name]
    system = case.make(**case.arguments)
    batch = batch_of(faces, system.spec)
    train(system, batch, case, monkeypatch)
    degrees, nme = errors(system, batch)
    assert degrees < case.degrees
    assert nme <= case.nme


def half_precision(system=None):
    return torch.autocast('cpu', torch.bfloat16)


@pytest.mark.parametrize('name', CASES)
def test_half_precision_stays_within_the_network(name, faces, monkeypatch):
    case = CASES[name]
    system = case.make(**case.arguments)
    batch = batch_of(faces[:4], system.spec)
    monkeypatch.setattr(System, '_precision', half_precision)
    for phase in case.phases:
        monkeypatch.setattr(System, 'phase', phase)
        assert all(part.isfinite() for part in system.losses(batch).values())
    system.eval()
    with torch.no_grad(), half_precision():
        rotation = system.network(batch['image']).rotation.double()
    assert (rotation @ rotation.transpose(1, 2) - torch.eye(3)).abs().max() < 1e-5


def test_losses_are_computed_in_single_precision(faces, monkeypatch):
    system = HopenetSystem('resnet18', 32)
    within = []

    def losses(batch):
        within.append(torch.is_autocast_enabled('cpu'))
        return {'none': torch.zeros(())}

    for name in ('log', 'log_dict'):
        monkeypatch.setattr(system, name, lambda *_, **__: None)
    monkeypatch.setattr(system, 'losses', losses)
    monkeypatch.setattr(System, 'current_epoch', 0)
    monkeypatch.setattr(System, 'global_rank', 0)
    with half_precision():
        system.training_step({}, 0)
    assert within == [False]


def test_a_compiled_network_gives_what_the_plain_one_gives(faces, monkeypatch):
    real, asked = torch.compile, []

    def traced(function, **options):
        """Trace as always, but write no C++, which takes half a minute."""
        asked.append(options)
        return real(function, backend='aot_eager', **options)

    monkeypatch.setattr(torch, 'compile', traced)
    system = HopenetSystem('resnet18', 32)
    batch = batch_of(faces[:4], system.spec)
    found = []
    for _ in range(2):
        system.zero_grad()
        total = torch.stack(list(system.losses(batch).values())).sum()
        total.backward()
        found.append([total, *(value.grad for value in system.parameters())])
        system.compile_network()
    assert asked == [{'dynamic': False}] * 2
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_frozen_stem_does_not_move(faces):
    torch.manual_seed(0)
    options = {'backbone': 'resnet18', 'input_size': 32, 'freeze_stem': True, 'head_scale': 5.0}
    system = HopenetSystem(**options)
    batch = batch_of(faces[:8], system.spec)
    frozen = frozen_modules(system.network.trunk)
    before = [value.clone() for module in frozen for value in module.state_dict().values()]
    system.train()
    optimizer = Optimization('adam', 1e-3).build(system.parameter_groups())
    trunk, heads = optimizer.param_groups
    assert heads['lr'] == pytest.approx(5 * trunk['lr'])
    torch.stack(list(system.losses(batch).values())).sum().backward()
    optimizer.step()
    after = [value for module in frozen for value in module.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_pairs_know_sameness_or_order():
    """What each loss asks of perfect embeddings: the printed one does not ask for order."""
    levels = torch.tensor([0.0, 0.0, 1.0, 2.0])
    angles = ((levels + 0.5) * RANK_WIDTH)[:, None].expand(4, 3)
    losses = {}
    for kind in ('same', 'margin'):
        layer = PairingLayer(1, kind)
        for head in layer.weights:
            torch.nn.init.constant_(head.weight, -50.0 if kind == 'same' else 1.0)
            torch.nn.init.constant_(head.bias, 10.0)
        for name, values in (('ordered', levels), ('shuffled', torch.tensor([1.0, 1.0, 0.0, 2.0]))):
            embeddings = values[:, None, None].expand(4, 3, 1)
            losses[kind, name] = layer(embeddings, angles).item()
    assert losses['same', 'ordered'] == pytest.approx(0.0, abs=1e-3)
    assert losses['same', 'shuffled'] == pytest.approx(losses['same', 'ordered'], abs=1e-6)
    assert losses['margin', 'ordered'] == 0.0
    assert losses['margin', 'shuffled'] > 0.1


def test_same_and_different_pairs_weigh_alike():
    angles = (torch.tensor([0.5, 0.5, *np.arange(1.5, 12.5)]) * RANK_WIDTH).float()
    layer = PairingLayer(1)
    for head in layer.weights:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    loss = layer(torch.zeros(len(angles), 3, 1), angles[:, None].expand(-1, 3))
    # Undecided about every pair: log 2 whatever the number of same and different ones.
    assert loss.item() == pytest.approx(np.log(2), abs=1e-5)


def test_balanced_tasks_pull_alike():
    balance = MagnitudeBalance(('small', 'large'))
    values = torch.tensor([1e-3, 1e3], requires_grad=True)
    for _ in range(3):
        parts = balance({'small': values[0], 'large': values[1]})
    assert [part.item() for part in parts.values()] == pytest.approx([1.0, 1.0])


def test_phases_and_rate_follow_the_epochs():
    system = HopenetSystem('resnet18', 32)
    system._phase_names, system._phase_ends = ['first', 'second', 'last'], [2, 5]
    system.optimization = Optimization('adam', 1.0, warm_up=0.0)
    assert [system._phase_names[system._phase_index(e)] for e in (0, 1.9, 2, 4.9, 5, 9)] == [
        'first', 'first', 'second', 'second', 'last', 'last',
    ]  # fmt: skip
    rates = [system._rate(epoch, 10) for epoch in (0, 1, 2, 5, 7.5)]
    assert rates == pytest.approx([1.0, 0.5, 1.0, 1.0, 0.5])
