"""What a run of `headpose batch` is asked for; part of every piece of work."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from headpose_ros.models import DEFAULT_MODEL


@dataclass(frozen=True)
class BatchOptions:
    """What decides the tables of a source.

    Attributes:
        model: Name of released weights, or a path that every machine has.
        model_sha256: Digest of these weights, which every worker compares with its own.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        max_faces: Faces of an image at most.
        topics: Topics of images in bags; empty: all.
        zones: Zones file; empty: that of the package.
        zones_sha256: Digest of it; empty for that of the package.
        drive: On which side the driver sits, one of `zones.DRIVES`.
        split: Films longer than this are worked on in parts of about this length, s; 0: none.
    """

    model: str = DEFAULT_MODEL
    model_sha256: str = ''
    device: str = 'cpu'
    max_faces: int = 8
    topics: tuple[str, ...] = ()
    zones: str = ''
    zones_sha256: str = ''
    drive: str = 'left_hand'
    split: float = 1200.0

    def decisive(self) -> str:
        """Return what makes tables differ, as text.

        Names of files are not part of it, their digests are. Neither are device and parts: tables
        are the same but for rounding.
        """
        values = asdict(self)
        for name in ('model', 'device', 'zones', 'split'):
            del values[name]
        return json.dumps(values, sort_keys=True)
