"""A miniature of the real data: drawn faces with exact landmarks and poses, genuine formats."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from headpose_training.data.drawn_faces import write_head_model, write_real_faces

# Networks this small gain little from threads, and lose much on a machine that does other things.
torch.set_num_threads(1)


@pytest.fixture(scope='session')
def real_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a packed folder of 24 drawn faces: 16 to train, 8 to judge."""
    return write_real_faces(tmp_path_factory.mktemp('real_faces'))


@pytest.fixture(scope='session')
def head_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a head of 68 small quads in ICT-FaceKit's layout."""
    return write_head_model(tmp_path_factory.mktemp('head') / 'head.npz')
