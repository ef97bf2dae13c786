"""Every column of every table, once: what is written, read and documented comes from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headpose_ros.driver_monitoring.report import SIGNALS

if TYPE_CHECKING:
    import pyarrow

#: Grows with every change that makes older tables differ; these are then made again.
VERSION = 1

#: Types of columns, as they are named here and in the docs: by the names of pyarrow's functions.
_FLOATS = 'list of float32'
#: Far below what is known of a landmark: a sixty-fourth of a pixel, a thousandth of a probability.
_PX, _SHARE = 2.0**-6, 2.0**-10


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Of the column.
        type: `string`, `bool`, `int32`, `int64`, `float32`, `float64` or `list of float32`.
        unit: Of its values; empty for none.
        meaning: For people. What is not known is null, also within lists.
        step: Numbers are rounded to multiples of it, which takes a quarter of the bytes; 0: not.
    """

    name: str
    type: str
    unit: str
    meaning: str
    step: float = 0.0


_SOURCE = Column('source', 'string', '', 'path or URL of the recording')
_TOPIC = Column(
    'topic', 'string', '', 'topic of the images of a bag; name of a picture; empty for a film'
)
_IMAGE = Column('image', 'int64', '', 'number of the image in its topic, of those that are read')
_STAMP = Column('stamp', 'float64', 's', "stamp of the image's header; of a film: see `offset`")
_OFFSET = Column(
    'offset', 'float64', 's', 'from the start of the recording: where to look, or to seek'
)

_FACES = (
    _SOURCE,
    _TOPIC,
    _IMAGE,
    _STAMP,
    _OFFSET,
    Column('id', 'string', '', 'of the face within its source and topic, while it is followed'),
    Column('box_x', 'float32', 'px', 'left edge of the box'),
    Column('box_y', 'float32', 'px', 'upper edge of the box'),
    Column('box_width', 'float32', 'px', ''),
    Column('box_height', 'float32', 'px', ''),
    Column('confidence', 'float32', '0..1', 'that this is a face'),
    Column('qx', 'float64', '', 'rotation: quaternion of the face frame in the optical frame'),
    Column('qy', 'float64', '', ''),
    Column('qz', 'float64', '', ''),
    Column('qw', 'float64', '', ''),
    Column('yaw', 'float32', 'deg', 'for people and histograms: see docs/conventions.md'),
    Column('pitch', 'float32', 'deg', ''),
    Column('roll', 'float32', 'deg', ''),
    Column('x', 'float64', 'm', 'sellion in the optical frame; null without a calibrated camera'),
    Column('y', 'float64', 'm', ''),
    Column('z', 'float64', 'm', ''),
    Column('covariance', _FLOATS, 'm², m rad, rad²', '6 x 6, row by row, of position and rotation'),
    Column(
        'landmarks_x',
        _FLOATS,
        'px',
        '68 points in the order of iBUG; pixel centres at integers; rounded to 1/64',
        _PX,
    ),
    Column('landmarks_y', _FLOATS, 'px', '', _PX),
    Column(
        'visibility', _FLOATS, '0..1', 'of each point, that it is not hidden; to 1/1024', _SHARE
    ),
    Column('landmark_confidence', _FLOATS, '0..1', 'of each point; to 1/1024', _SHARE),
    Column('rotation_error', 'float32', 'rad', 'expected; null where the network does not know'),
    Column('right_eye_openness', 'float32', '0..1', "of the person's right eye"),
    Column('left_eye_openness', 'float32', '0..1', ''),
    Column('mouth_openness', 'float32', '', 'gap of the inner lips over the width of the mouth'),
    Column('gaze_x', 'float32', '', 'unit vector in the optical frame; null without a gaze'),
    Column('gaze_y', 'float32', '', ''),
    Column('gaze_z', 'float32', '', ''),
    Column('model_sha256', 'string', '', 'of the weights'),
    Column('version', 'string', '', 'of headpose_ros'),
)

_DRIVER = (
    _SOURCE,
    _TOPIC,
    _IMAGE,
    _STAMP,
    _OFFSET,
    Column('duration', 'float64', 's', 'until the next image; 0 before a gap and at the end'),
    Column('faces', 'int32', '', 'in the image'),
    Column('driver_id', 'string', '', "id of the driver's face; empty when it is not in sight"),
    Column('state', 'string', '', 'attentive, distracted, drowsy, ...: see docs/nodes/driver.md'),
    Column('confidence', 'float32', '0..1', 'of the state'),
    Column('presence', 'string', '', 'visible, turned_away, hidden, absent, covered, unknown'),
    Column('eyes', 'string', '', 'open, closed, hidden, unknown'),
    Column('neutral_known', 'bool', '', 'whether the neutral pose is known'),
    Column('zone', 'string', '', 'where the head points; empty for not known'),
    Column('on_road', 'bool', '', 'whether that is the road'),
    *(
        Column(name, 'float32', unit, '')
        for name, unit in zip(
            SIGNALS,
            ('rad', 'rad', 'rad', '0..1', '', 's', 's', 's', '0..1', '1/min', 's', '', ''),
            strict=True,
        )
    ),
)

_EVENTS = (
    _SOURCE,
    _TOPIC,
    Column('event', 'int64', '', 'number of the event within its source and topic'),
    Column(
        'kind', 'string', '', 'glance, closure, microsleep, yawn, ...: see docs/nodes/driver.md'
    ),
    Column('zone', 'string', '', 'of a glance, else empty'),
    Column('onset', 'float64', 's', 'stamp of its beginning'),
    Column('end', 'float64', 's', 'stamp until which it is known to have lasted'),
    Column('duration', 'float64', 's', 'from onset to end'),
    Column('offset', 'float64', 's', 'of the onset from the start of the recording'),
    Column('known', 'float64', 's', 'stamp of the image that made it known'),
    Column('lost', 'bool', '', 'whether it could not be followed to its end'),
)

_SUMMARY = (
    _SOURCE,
    Column('key', 'string', '', 'name of the folder with the tables of the source'),
    Column('kind', 'string', '', 'bag, film or pictures'),
    Column('bytes', 'int64', 'B', 'size of the source'),
    Column('modified', 'int64', 'ns', 'when the source was last written, since 1970'),
    Column('images', 'int64', '', 'that were read'),
    Column('skipped', 'int64', '', 'images that are damaged or cannot be used'),
    Column('problem', 'string', '', 'what was wrong with the first of them'),
    Column('seconds', 'float64', 's', 'from the first to the last image, over all topics'),
    Column('faces', 'int64', '', 'over all images'),
    Column('ids', 'int64', '', 'of faces'),
    Column('events', 'int64', '', 'of drivers'),
    Column('crowded', 'int64', '', 'images with more faces than are taken'),
    Column('model', 'string', '', 'name or path of the weights'),
    Column('model_sha256', 'string', '', ''),
    Column('version', 'string', '', 'of headpose_ros'),
    Column('fingerprint', 'string', '', 'of source, weights and options: the same is not redone'),
)

_COST = (
    _SOURCE,
    Column('images', 'int64', '', 'that were read'),
    Column('faces', 'int64', '', ''),
    Column('seconds', 'float64', 's', 'that the recording lasts'),
    Column('work', 'float64', 's', 'that its worker was busy with it, on one core'),
    Column('bytes', 'int64', 'B', 'of its tables'),
    Column('device', 'string', '', 'that ran the network'),
)

_FAILED = (
    _SOURCE,
    Column('kind', 'string', '', 'bag, film or pictures'),
    Column('bytes', 'int64', 'B', 'size of the source'),
    Column('reason', 'string', '', 'why there are no tables of it'),
)

#: What a part of a film is kept as until it is joined: the images, beside their faces.
_IMAGES = (
    _TOPIC,
    _STAMP,
    _OFFSET,
    Column('width', 'int32', 'px', ''),
    Column('height', 'int32', 'px', ''),
    Column('covered', 'bool', '', 'whether the picture shows nothing'),
    Column('faces', 'int32', '', 'rows of `faces`'),
    Column('crowded', 'bool', '', 'whether there are more faces than are taken'),
)

#: Tables by name; the last two are for the machinery.
TABLES: dict[str, tuple[Column, ...]] = {
    'faces': _FACES,
    'driver': _DRIVER,
    'events': _EVENTS,
    'summary': _SUMMARY,
    'failed': _FAILED,
    'cost': _COST,
    'images': _IMAGES,
}
_DOCUMENTED = {
    'faces': 'One row for each face and image: `recordings/*/faces.parquet`.',
    'driver': 'One row for each image of a film or bag: `recordings/*/driver.parquet`.',
    'events': 'One row for each thing that a driver does: `recordings/*/events.parquet`.',
    'summary': 'One row for each source: `summary.parquet`, and in the folder of the source.',
    'failed': 'One row for each source that could not be read: `failed.parquet`.',
    'cost': 'One row for each source, what it took: `recordings/*/cost.parquet`.',
}


def arrow_schema(table: str) -> pyarrow.Schema:
    """Return the schema of a table, with unit and meaning of each column in its metadata."""
    import pyarrow

    return pyarrow.schema(
        [
            pyarrow.field(
                column.name,
                _arrow_type(column.type),
                metadata={'unit': column.unit, 'meaning': column.meaning},
            )
            for column in TABLES[table]
        ]
    )


def _arrow_type(name: str) -> pyarrow.DataType:
    import pyarrow

    if name == _FLOATS:
        return pyarrow.list_(pyarrow.float32())
    return {
        'string': pyarrow.string,
        'bool': pyarrow.bool_,
        'int32': pyarrow.int32,
        'int64': pyarrow.int64,
        'float32': pyarrow.float32,
        'float64': pyarrow.float64,
    }[name]()


def markdown() -> str:
    """Return the tables as they stand in docs/scale.md."""
    return '\n'.join(_section(name, about) for name, about in _DOCUMENTED.items())


def _section(name: str, about: str) -> str:
    rows = [f'| `{c.name}` | {c.type} | {c.unit} | {c.meaning} |' for c in TABLES[name]]
    head = ['| Column | Type | Unit | Meaning |', '| --- | --- | --- | --- |']
    return '\n'.join([f'### {name}', '', about, '', *head, *rows, ''])
