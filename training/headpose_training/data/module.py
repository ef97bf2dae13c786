"""The data of one training run, as Lightning takes it."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import lightning
import numpy as np
import torch
from headpose_ros.geometry.crop import CropWindow
from headpose_ros.models.registry import to_input
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headpose_training.data.augment import Augmentation, Crop, cut
from headpose_training.data.face_model import FaceModel
from headpose_training.data.real_faces import JUDGE_SETS, TRAIN_SETS, read_real_faces
from headpose_training.data.samples import LabelledFace


class Batch(TypedDict):
    """B crops with labels, shapes as in `data.augment.Crop`.

    Attributes:
        image: float32 (B, 3, S, S) normalised RGB.
        points: float32 (B, 68, 2) in [0, 1].
        rotation: float32 (B, 3, 3).
        visible: float32 (B, 68), 1 = seen.
    """

    image: Tensor
    points: Tensor
    rotation: Tensor
    visible: Tensor


class FaceCrops(Dataset[Batch]):
    """Faces as crops: augmented, or the plain window around their landmarks.

    Args:
        faces: The labelled faces.
        size: Crop side in px.
        head: Head model that tells which landmarks a pose hides.
        augmentation: Random changes, or None for the plain window.
        repeats: How often each face occurs in an epoch.
    """

    def __init__(
        self,
        faces: list[LabelledFace],
        size: int,
        head: FaceModel,
        augmentation: Augmentation | None = None,
        repeats: int = 1,
    ) -> None:
        self.faces = faces
        self.size = size
        self.head = head
        self.augmentation = augmentation
        self.repeats = repeats

    def __len__(self) -> int:
        """Return the number of crops in an epoch."""
        return len(self.faces) * self.repeats

    def __getitem__(self, index: int) -> Batch:
        """Return one crop; the augmentation draws from torch's seeded generator."""
        face = self.faces[index % len(self.faces)]
        crop = self._crop(face)
        visible = crop.visible & self.head.visible(crop.rotation)
        return Batch(
            image=to_input(crop.image),
            points=torch.from_numpy(crop.points.astype(np.float32)),
            rotation=torch.from_numpy(crop.rotation.astype(np.float32)),
            visible=torch.from_numpy(visible.astype(np.float32)),
        )

    def _crop(self, face: LabelledFace) -> Crop:
        if self.augmentation is None:
            return cut(face, CropWindow.around_landmarks(face.landmarks), self.size)
        rng = np.random.default_rng(int(torch.randint(2**62, ())))
        return self.augmentation(face, self.size, rng)


class RealFaces(lightning.LightningDataModule):
    """Trains on LFPW and HELEN, watches AFW; never the other way round.

    Args:
        folder: The packed `real_faces` folder.
        head_model: `ict_facekit.npz`, for the landmarks' visibility.
        size: Crop side in px.
        batch_size: Crops in a batch.
        workers: Loader processes; on two cores one keeps up with the network.
        augmentation: Ranges of the random changes.
        repeats: How often each face occurs in an epoch; more repeats, fewer looks at AFW.
        limit: Use only the first so many faces of each part, for smoke runs; 0 is all.
    """

    def __init__(
        self,
        folder: Path,
        head_model: Path,
        size: int = 128,
        batch_size: int = 48,
        workers: int = 1,
        augmentation: Augmentation = Augmentation(),  # noqa: B008 - frozen
        repeats: int = 1,
        limit: int = 0,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.head_model = head_model
        self.size = size
        self.batch_size = batch_size
        self.workers = workers
        self.augmentation = augmentation
        self.repeats = repeats
        self.limit = limit or None

    def setup(self, stage: str) -> None:
        """Read the faces into memory, once, before the workers fork."""
        head = FaceModel.load(self.head_model)
        train = read_real_faces(self.folder, TRAIN_SETS)[: self.limit]
        judge = read_real_faces(self.folder, JUDGE_SETS)[: self.limit]
        self.train_crops = FaceCrops(train, self.size, head, self.augmentation, self.repeats)
        self.judge_crops = FaceCrops(judge, self.size, head)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled augmented crops."""
        return DataLoader(
            self.train_crops,
            self.batch_size,
            shuffle=True,
            drop_last=len(self.train_crops) >= self.batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=_one_thread,
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the plain crops of AFW."""
        return DataLoader(self.judge_crops, 64)


def _one_thread(worker: int) -> None:
    # OpenCV's own pool in every worker would fight the network for the cores.
    import cv2

    cv2.setNumThreads(1)
