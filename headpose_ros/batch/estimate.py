"""What many hours of recordings need, by what a run on a sample of them took."""

from __future__ import annotations

from headpose_ros.batch.folder import Folder
from headpose_ros.batch.run import readable
from headpose_ros.errors import HeadposeError
from headpose_ros.tools.text_table import text_table


def estimate(folder: Folder, hours: float) -> str:
    """Return a table for people.

    Args:
        folder: Tables of a sample.
        hours: Of recordings.

    Raises:
        HeadposeError: There are no tables with a length in time.
    """
    rows = [row for row in folder.rows('cost') if row['seconds']]
    if not rows:
        raise HeadposeError(f'no films or bags are finished in {folder.path}: run a sample first')
    seconds, work, size, images, faces = (
        sum(row[name] for row in rows) for name in ('seconds', 'work', 'bytes', 'images', 'faces')
    )
    factor = 3600.0 * hours / seconds
    on_gpu = sum(row['work'] for row in rows if row['device'].startswith('cuda'))
    lines = [
        ['', 'measured', f'{hours:g} hours'],
        ['recorded', f'{seconds / 3600:.3g} h', f'{hours:g} h'],
        ['images', f'{images}', f'{images * factor:.3g}'],
        ['images per second and core', f'{images / work:.1f}', ''],
        ['faces', f'{faces}', f'{faces * factor:.3g}'],
        ['core hours', f'{work / 3600:.3g}', f'{work * factor / 3600:.3g}'],
        ['of these with a GPU', f'{on_gpu / 3600:.3g}', f'{on_gpu * factor / 3600:.3g}'],
        ['bytes per face', f'{size / max(faces, 1):.0f}', ''],
        ['tables', readable(size), readable(size * factor)],
    ]
    return text_table(lines)
