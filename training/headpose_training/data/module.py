"""The data of one training run, as Lightning takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import torch
from headpose_ros.geometry.crop import LANDMARK_BOX_MARGIN, CropWindow
from headpose_ros.models.registry import ModelSpec
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headpose_training.data.augment import Augmentation
from headpose_training.data.crops import CROPS, OUR_CROPS
from headpose_training.data.draws import Draw, Draws, run_seed
from headpose_training.data.face_model import FaceModel
from headpose_training.data.formats import FORMATS, read_faces
from headpose_training.data.labelled_crop import Crop, cut
from headpose_training.data.readers.labelled import LABELLED, read_about
from headpose_training.data.readers.real_faces import JUDGE_SETS, TRAIN_SETS
from headpose_training.data.readers.rendered import RENDERED
from headpose_training.data.samples import LabelledFace
from headpose_training.errors import TrainingError

#: B crops with labels, shapes as in `data.labelled_crop.Crop`; labels that the faces lack are
#: absent, but for `openness` (B, 3), NaN where unknown, and `face` (B,), 1 where there is one.
#: `image` float32 (B, 3, S, S), `points` (B, 68, 2) in [0, 1], `rotation` (B, 3, 3), `visible`
#: (B, 68) with 1 for seen, `depth` (B, 68) over the crop's side; `weight` (B, 68) in 0..1 says how
#: far each landmark's label is to be relied on. `gaze` (B, 2, 3), `iris` (B, 2, 2) and `eye_seen`
#: (B, 2) are NaN where unknown.
Batch = dict[str, Tensor]
#: Labels of a batch, and the label of a face that each comes from.
_LABELS = {
    'points': 'landmarks',
    'rotation': 'rotation',
    'visible': 'landmarks',
    'depth': 'depth',
}


@dataclass(frozen=True)
class FaceSource:
    """Faces of a dataset.

    Attributes:
        folder: The dataset.
        format: Its layout, see `FaceData`.
        sets: Sets of it; empty is all.
        repeats: How often each face occurs in an epoch.
    """

    folder: Path
    format: str = 'real_faces'
    sets: Sequence[str] = ()
    repeats: int = 1


class FaceCrops(Dataset[Batch]):
    """Faces as crops: augmented, or the plain window.

    Args:
        faces: The labelled faces.
        spec: How the network is fed.
        crop: Crop protocol, a name of `data.crops.CROPS`.
        head: Head model that tells which landmarks a pose hides, or None.
        augmentation: Random changes, or None for the plain window.
    """

    def __init__(
        self,
        faces: Sequence[LabelledFace],
        spec: ModelSpec,
        crop: str = 'landmarks',
        head: FaceModel | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.faces = faces
        self.spec = spec
        self.head = head
        self.augmentation = augmentation
        # The faces of a batch must have the same labels.
        self._labels = {
            label
            for label, source in _LABELS.items()
            if all(getattr(face, source) is not None for face in faces)
        }
        self._window = CROPS[crop]
        # The papers' protocols come with a margin of their own.
        self._scale = spec.margin / LANDMARK_BOX_MARGIN if crop in OUR_CROPS else 1.0

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.faces)

    def __getitem__(self, draw: Draw) -> Batch:
        """Return one crop; the same draw gives the same one."""
        index, seed = draw
        face = self.faces[index]
        crop = self._crop(face, self._window(face).scaled(self._scale), seed)
        labels = {
            'points': crop.points,
            'rotation': crop.rotation,
            'visible': self._visible(face, crop),
            'depth': crop.depth,
        }
        tensors = {
            name: torch.from_numpy(label.astype(np.float32))
            for name, label in labels.items()
            if label is not None and name in self._labels
        }
        tensors |= {
            'gaze': torch.from_numpy(crop.eyes.gaze.astype(np.float32)),
            'iris': torch.from_numpy(crop.eyes.iris.astype(np.float32)),
            'eye_seen': torch.from_numpy(crop.eyes.seen.astype(np.float32)),
        }
        tensors['openness'] = torch.from_numpy(crop.openness.astype(np.float32))
        if 'points' in tensors:
            tensors['weight'] = torch.from_numpy(crop.weight.astype(np.float32))
        tensors['face'] = torch.tensor(float(crop.face))
        return {'image': self.spec.to_input(crop.image), **tensors}

    def _crop(self, face: LabelledFace, window: CropWindow, seed: int) -> Crop:
        if self.augmentation is None:
            return cut(face, window, self.spec.input_size)
        rng = np.random.default_rng((run_seed(), seed))
        return self.augmentation(face, window, self.spec.input_size, rng)

    def _visible(self, face: LabelledFace, crop: Crop) -> np.ndarray | None:
        annotated = face.visible is not None
        if annotated or crop.visible is None or self.head is None or crop.rotation is None:
            return crop.visible
        return crop.visible & self.head.visible(crop.rotation)


class FaceData(lightning.LightningDataModule):
    """Training and validation faces; the network's spec tells how they are cropped.

    Args:
        folder: Folder of the dataset.
        format: Layout of the folder: real_faces, 300w_lp, aflw2000, biwi, ... (`headpose-train
            check --help` tells all).
        train_sets: Sets of the folder to train on; empty is all.
        also: Further datasets to train on, such as rendered faces.
        judge_folder: Folder of the validation faces; empty is the same folder.
        judge_format: Its layout; empty is the same.
        judge_sets: Sets to validate on.
        head_model: `ict_facekit.npz`: hides the landmarks on the far side of a head, and gives
            depth to faces that come without.
        crop: Crop protocol: landmarks (ours), tracked (ours, turned until the head stands
            upright), hopenet, mnn, ccr.
        free: Refuse faces whose terms forbid weights that anybody may use.
        batch_size: Crops in a batch.
        workers: Loader processes; on two cores one keeps up with the network.
        augmentation: Ranges of the random changes.
        augment: False trains on the plain crops, as to see whether a network can overfit.
        repeats: How often each face of the folder occurs for once that others do.
        epoch_crops: Crops in an epoch, after which a checkpoint is written; 0 is as many as there
            are faces.
        limit: Use only the first so many faces of each dataset; 0 is all.
        skip_broken: Leave broken faces out instead of refusing the folder.
    """

    def __init__(
        self,
        folder: Path,
        format: str = 'real_faces',
        train_sets: Sequence[str] = TRAIN_SETS,
        also: Sequence[FaceSource] = (),
        judge_folder: Path | None = None,
        judge_format: str = '',
        judge_sets: Sequence[str] = JUDGE_SETS,
        head_model: Path | None = None,
        crop: str = 'landmarks',
        free: bool = False,
        batch_size: int = 48,
        workers: int = 1,
        augmentation: Augmentation = Augmentation(),  # noqa: B008 - frozen
        augment: bool = True,
        repeats: int = 1,
        epoch_crops: int = 0,
        limit: int = 0,
        skip_broken: bool = False,
    ) -> None:
        super().__init__()
        if crop not in CROPS:
            raise TrainingError(f'unknown crop {crop!r}: expected one of {", ".join(CROPS)}')
        self.train_sources = [FaceSource(folder, format, train_sets, repeats), *also]
        if free:
            for source in self.train_sources:
                require_free(source)
        self.judge_source = FaceSource(judge_folder or folder, judge_format or format, judge_sets)
        self.head_model = head_model
        self.crop = crop
        self.batch_size = batch_size
        self.workers = workers
        self.augmentation = augmentation if augment else None
        self.epoch_crops = epoch_crops
        self.limit = limit or None
        self.skip_broken = skip_broken

    def setup(self, stage: str) -> None:
        """Read the labels, once, before the workers fork."""
        assert self.trainer is not None
        system: Any = self.trainer.lightning_module
        spec: ModelSpec = system.spec
        head = FaceModel.load(self.head_model).with_our_zero_pose() if self.head_model else None
        train = [
            face for part in self.train_sources for face in self._faces(part, system.needs, head)
        ]
        judge = self._faces(self.judge_source, system.needs, head)
        self.train_crops = FaceCrops(train, spec, self.crop, head, self.augmentation)
        self.judge_crops = FaceCrops(judge, spec, self.crop, head)

    def _faces(
        self, source: FaceSource, needs: frozenset[str], head: FaceModel | None
    ) -> list[LabelledFace]:
        faces = read_faces(source.format, source.folder, source.sets, self.skip_broken)
        faces = faces[: self.limit]
        if 'depth' in needs and head is not None:
            faces = [with_depth(face, head) for face in faces]
        missing = sorted(n for n in needs if any(getattr(face, n) is None for face in faces))
        if missing:
            hint = ' (--data.head_model gives depth)' if 'depth' in missing else ''
            raise TrainingError(
                f'this system needs {", ".join(missing)}{hint}, which {source.folder} does not '
                f'have: the format {source.format} labels '
                f'{", ".join(sorted(FORMATS[source.format].labels))}'
            )
        return faces * source.repeats

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled augmented crops."""
        # OpenCV's own pool in every worker would fight the network for the cores. Not in the
        # workers: a forked process that stops the pool it inherited waits for ever.
        cv2.setNumThreads(1)
        trainer = self.trainer
        shared = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        draws = Draws(len(self.train_crops), self.epoch_crops, run_seed(), *shared)
        return DataLoader(
            self.train_crops,
            self.batch_size,
            sampler=draws,
            drop_last=len(draws) >= self.batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the plain crops of the validation faces."""
        count = len(self.judge_crops)
        return DataLoader(
            self.judge_crops, min(self.batch_size, 32), sampler=[(i, 0) for i in range(count)]
        )


def require_free(source: FaceSource) -> None:
    """Check that weights for any use may learn from these faces.

    Raises:
        TrainingError: They may not.
    """
    family = 'research'
    if source.format == RENDERED.name:
        family = 'free'
    elif source.format == LABELLED.name:
        family = read_about(source.folder)['family']
    if family != 'free':
        raise TrainingError(
            f'weights for any use cannot learn from {source.folder}: its terms are '
            f'{FORMATS[source.format].terms}; leave it out, or train a research recipe'
        )


def with_depth(face: LabelledFace, head: FaceModel) -> LabelledFace:
    """Return the face with depth of the head model fitted to it, unless it has depth already."""
    if face.depth is not None or face.landmarks is None or face.rotation is None:
        return face
    return replace(face, depth=head.depth_of(face.landmarks, face.rotation))
