"""Every system learns: it overfits 32 faces to near zero, in each of its phases."""

import numpy as np
import pytest
import torch
from headpose_ros.geometry.landmarks import SCHEMES

from headpose_training.data.drawn_faces import write_real_faces
from headpose_training.data.face_model import FaceModel
from headpose_training.data.formats import read_faces
from headpose_training.data.module import FaceCrops, _with_depth
from headpose_training.metrics.landmarks import nme_outer_eyes
from headpose_training.metrics.pose import geodesic_deg
from headpose_training.systems.base import Optimization, System
from headpose_training.systems.ccr import CcrSystem
from headpose_training.systems.hopenet import HopenetSystem
from headpose_training.systems.mnn import MnnSystem
from headpose_training.systems.mnn_lite import MnnLiteSystem
from headpose_training.systems.parts3d import Parts3dSystem
from headpose_training.systems.ranking import RankingSystem

FACES = 32


@pytest.fixture(scope='module')
def faces(tmp_path_factory, head_model):
    folder = write_real_faces(tmp_path_factory.mktemp('faces'), FACES)
    head = FaceModel.load(head_model).with_our_zero_pose()
    return [_with_depth(face, head) for face in read_faces('real_faces', folder)]


def batch_of(faces, system, head=None):
    crops = FaceCrops(faces, system.spec, head=head)
    return torch.utils.data.default_collate([crops[i] for i in range(len(faces))])


def train(system, batch, steps, rate):
    """Train as Lightning would, on one batch, through all phases."""
    optimizer = Optimization('adam', rate).build(system.parameter_groups())
    for phase, count in steps.items():
        System.phase = property(lambda self, phase=phase: phase)
        system.train()
        system.on_train_epoch_start()
        for _ in range(count):
            optimizer.zero_grad()
            torch.stack(list(system.losses(batch).values())).sum().backward()
            optimizer.step()
    return system.eval()


@pytest.fixture(autouse=True)
def phase():
    before = System.phase
    yield
    System.phase = before


import os, time
CASES = {
    'ccr': (lambda: CcrSystem(2, 16, 64), {'all': 150}, 3e-3),
    'hopenet': (lambda: HopenetSystem('resnet18', 32), {'all': 120}, 1e-3),
    'mnn': (lambda: MnnSystem(1, 8, 32), {'landmarks': 60, 'all': 150}, 5e-3),
    'mnn_lite': (lambda: MnnLiteSystem(), {'all': 60}, 3e-3),
    'parts3d': (
        lambda: Parts3dSystem(1, 1, 1, 'resnet18', 32, (1, 1, 1, 1), 8, 64),
        {'detection': 60, 'regression': 80, 'joint': 40, 'depth': 80},
        2e-3,
    ),
    'ranking': (lambda: RankingSystem(1, backbone='resnet18', input_size=32), {'ranking': 30, 'regression': 120}, 1e-3),
}


@pytest.mark.parametrize('name', CASES)
def test_overfits_32_faces(name, faces):
    torch.manual_seed(0)
    make, steps, rate = CASES[name]
    system = make()
    batch = batch_of(faces, system)
    t = time.time()
    train(system, batch, steps, rate)
    with torch.no_grad():
        out = system.network(batch['image'])
        before = out
    print(name, 'time', time.time() - t, 'geo', geodesic_deg(out.rotation.double().numpy(), batch['rotation'].double().numpy()).mean())
    if out.points is not None:
        p = batch['points'][:, list(SCHEMES[system.spec.scheme])]
        print('nme', nme_outer_eyes(out.points.numpy(), p.numpy()).mean()*100)
    if out.depth is not None:
        print('depth', (out.depth - batch['depth'][:, list(SCHEMES['ibug66'])]).abs().mean())
