"""From a judgement to named numbers with intervals, and from those to Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headpose_training.metrics.bins import bin_table
from headpose_training.metrics.intervals import measure, measure_samples
from headpose_training.metrics.judge import Judgement
from headpose_training.metrics.landmarks import auc, failure_rate
from headpose_training.metrics.pose import AFW_TOLERANCE_DEG, FACTORISATION, PoseErrors
from headpose_training.metrics.tables import cell, markdown_table
from headpose_training.metrics.visibility import occlusion_recall

Array = NDArray[np.float64]
Metric = dict[str, Any]
_Rows = dict[str, tuple[str, Array, Callable[..., Array]]]

AS_PREDICTED, ALIGNED = 'as predicted', 'one constant rotation removed'
GEODESIC = 'geodesic error'
_BASELINE = 'mean-pose baseline, geodesic error'
BASELINE_FACTOR = 'network beats the mean pose by a factor of'
_NO_ERROR_DEG = 1e-3
#: What a card repeats from a report.
HEADLINES = (
    f'{GEODESIC}, {ALIGNED}',
    f'{GEODESIC}, {AS_PREDICTED}',
    *(f'MAE {angle}, {ALIGNED}' for angle in ('pitch', 'yaw', 'roll', 'of the three angles')),
    f'MAEV, {ALIGNED}',
    'NME outer eyes',
    'failure rate @8 %',
    'AUC @8 %',
    'landmark confidence, 1st percentile',
)
_NOTES = (
    'Crops around the labelled landmarks, or around the annotated box where there are none. '
    'Intervals: bootstrap over faces, 95 %. A metric is missing where the data lack its label or '
    'the network lacks its output.',
)
_POSE_NOTES = (
    f'MAE: absolute errors of the angles, {FACTORISATION}, yaw within ±90°, differences wrapped by '
    'whole turns only. They blow up near profiles: judge by the geodesic error.',
    'MAEV: mean angle between corresponding columns of the rotation matrices (Cao et al., WACV '
    '2021). Within ±99°: only faces whose three label angles are within 99°, as published tables '
    'have it. AFW protocol: share of faces with a yaw error of at most 15° (Zhu and Ramanan, '
    'CVPR 2012).',
    'The constant rotation removed is the chordal mean of the differences: two definitions of '
    '"straight ahead" are no error. The mean-pose baseline always answers the chordal mean of the '
    'labels.',
)
_GROUP_NOTES = {
    'landmarks': (
        'NME: mean error of the 68 points over the distance of the outer eye corners, or over a '
        'size of the box around the labelled points. AUC and failure rate: of the NME by outer '
        'eyes.',
    ),
    'depth': (
        'GTE, CVGTCE: mean 3-D point error over the 3-D distance of the outer eye corners, as it '
        'is and after the best similarity transform (3DFAW challenge, Jeni et al., ECCVW 2016; a '
        'single view: the label of the same image is what CVGTCE compares with).',
    ),
    'visibility': ('The positive class is "occluded"; landmarks of all faces pooled.',),
}


def summary(judgement: Judgement) -> dict[str, Metric]:
    """Return every metric by name: `group`, `unit`, `value`, `interval` (95 %) and `faces`."""
    return {
        **_pose(judgement.as_predicted, judgement.kept, AS_PREDICTED),
        **_pose(judgement.aligned, judgement.kept, ALIGNED),
        **_baseline(judgement),
        **_measured('landmarks', _landmark_rows(judgement)),
        **_measured('depth', _depth_rows(judgement)),
        **_visibility(judgement),
    }


def yaw_table(judgement: Judgement) -> dict[str, Any]:
    """Return the errors per bin of |yaw|, see :func:`bins.bin_table`."""
    errors = {
        f'{GEODESIC} (deg)': judgement.aligned.geodesic,
        'MAE (deg)': judgement.aligned.angles.mean(axis=1),
        **{f'NME {name} (%)': 100 * values for name, values in judgement.nme.items()},
    }
    return bin_table(judgement.yaw, errors)


def _measured(group: str, rows: _Rows) -> dict[str, Metric]:
    """Measure the rows that have any values."""
    return {
        name: {'group': group, 'unit': unit, **measure(values, of)}
        for name, (unit, values, of) in rows.items()
        if np.isfinite(values).any()
    }


def _pose(errors: PoseErrors, kept: NDArray[np.bool_], suffix: str) -> dict[str, Metric]:
    mae, hit = errors.angles.mean(axis=1), errors.yaw <= AFW_TOLERANCE_DEG
    hit_share = np.where(np.isfinite(mae), 100.0 * hit, np.nan)
    rows: dict[str, tuple[str, Array]] = {
        GEODESIC: ('deg', errors.geodesic),
        **{
            f'MAE {angle}': ('deg', errors.angles[:, i])
            for i, angle in enumerate(('pitch', 'yaw', 'roll'))
        },
        'MAE of the three angles': ('deg', mae),
        **{f'MAEV {axis} column': ('deg', errors.columns[:, i]) for i, axis in enumerate('xyz')},
        'MAEV': ('deg', errors.columns.mean(axis=1)),
        f'{GEODESIC} within ±99°': ('deg', errors.geodesic[kept]),
        'MAE of the three angles within ±99°': ('deg', mae[kept]),
        'yaw within ±15° of the label (AFW protocol)': ('%', hit_share),
    }
    full: _Rows = {
        f'{name}, {suffix}': (unit, values, np.mean) for name, (unit, values) in rows.items()
    }
    return _measured('pose', full)


def _baseline(judgement: Judgement) -> dict[str, Metric]:
    baseline, network = judgement.baseline, judgement.aligned.geodesic
    labelled = np.isfinite(baseline)
    rows = _measured('baseline', {_BASELINE: ('deg', baseline, np.mean)})
    # A single face, aligned with itself, has no error left to divide by.
    if labelled.any() and network[labelled].mean() > _NO_ERROR_DEG:
        factor = measure_samples([baseline[labelled], network[labelled]], _ratio, paired=True)
        rows[BASELINE_FACTOR] = {'group': 'baseline', 'unit': '', **factor}
    return rows


def _ratio(worse: Array, better: Array, axis: int) -> Array:
    return worse.mean(axis=axis) / better.mean(axis=axis)


def _landmark_rows(judgement: Judgement) -> _Rows:
    outer_eyes = judgement.nme['outer eyes']
    return {
        **{f'NME {name}': ('%', 100 * v, np.mean) for name, v in judgement.nme.items()},
        'failure rate @8 %': ('%', outer_eyes, _failures),
        'AUC @8 %': ('', outer_eyes, auc),
        'landmark confidence, 1st percentile': ('', judgement.confidence, _first_percentile),
    }


def _failures(values: Array, axis: int) -> Array:
    return 100 * failure_rate(values, axis=axis)


def _first_percentile(values: Array, axis: int) -> Array:
    return np.asarray(np.percentile(values, 1, axis=axis))


def _depth_rows(judgement: Judgement) -> _Rows:
    return {
        'GTE': ('%', 100 * judgement.gte, np.mean),
        'CVGTCE': ('%', 100 * judgement.cvgtce, np.mean),
    }


def _visibility(judgement: Judgement) -> dict[str, Metric]:
    if judgement.visible.all():  # also without labels: there is nothing to recall
        return {}
    faces = np.arange(len(judgement.visible), dtype=np.float64)

    def recalls(chosen: Array, axis: int) -> Array:
        return np.apply_along_axis(recall, axis, chosen.astype(int))

    def recall(chosen: NDArray[np.intp]) -> float:
        return 100 * occlusion_recall(judgement.visibility[chosen], judgement.visible[chosen])

    name = 'recall of occluded landmarks at 80 % precision'
    return {name: {'group': 'visibility', 'unit': '%', **measure(faces, recalls, resamples=200)}}


def to_markdown(report: Mapping[str, Any]) -> list[str]:
    """Return the lines of a report.

    Args:
        report: As `evaluate` writes it to report.json.
    """
    metrics = report['metrics']
    title = f'{report["model"]} on {", ".join(report["sets"]) or report["format"]}'
    return [
        f'# {title}: {report["faces"]} faces',
        '',
        *_paragraphs(_NOTES),
        *_pose_section(metrics),
        *_yaw_section(report['bins']),
        *(line for group in _GROUP_NOTES for line in _group_section(group, metrics)),
        *_cost_section(report['cost']),
    ]


def _paragraphs(texts: tuple[str, ...]) -> list[str]:
    return [line for text in texts for line in (text, '')]


def _pose_section(metrics: Mapping[str, Metric]) -> list[str]:
    """Show both kinds of pose errors side by side, and the baseline under them."""
    end = f', {ALIGNED}'
    names = [name.removesuffix(end) for name in metrics if name.endswith(end)]
    if not names:
        return []
    rows = [_pose_row(metrics, name) for name in names]
    extra = [
        [_with_unit(name, metric), '', cell(metric), str(metric['faces'])]
        for name, metric in metrics.items()
        if metric['group'] == 'baseline'
    ]
    header = ['metric', AS_PREDICTED, ALIGNED, 'faces']
    return ['## Pose', '', *_paragraphs(_POSE_NOTES), *markdown_table(header, [*rows, *extra])]


def _pose_row(metrics: Mapping[str, Metric], name: str) -> list[str]:
    raw, aligned = metrics[f'{name}, {AS_PREDICTED}'], metrics[f'{name}, {ALIGNED}']
    return [_with_unit(name, raw), cell(raw), cell(aligned), str(raw['faces'])]


def _with_unit(name: str, metric: Metric) -> str:
    return f'{name} ({metric["unit"]})' if metric['unit'] else name


def _group_section(group: str, metrics: Mapping[str, Metric]) -> list[str]:
    rows = [
        [_with_unit(name, metric), cell(metric), str(metric['faces'])]
        for name, metric in metrics.items()
        if metric['group'] == group
    ]
    if not rows:
        return []
    table = markdown_table(['metric', 'value', 'faces'], rows)
    return [f'## {group.capitalize()}', '', *_paragraphs(_GROUP_NOTES[group]), *table]


def _yaw_section(bins: Mapping[str, Any]) -> list[str]:
    rows = bins['rows']
    if not rows:
        return []
    errors = list(rows[-1]['errors'])
    lines = [
        [row['name'], str(row['faces']), *(cell(row['errors'].get(error)) for error in errors)]
        for row in rows
    ]
    note = 'Pose errors with one constant rotation removed.'
    if bins['empty']:
        note += f' No faces at {" and ".join(bins["empty"])}: left out of the bin-balanced mean.'
    if bins['beyond']:
        note += f' {bins["beyond"]} faces beyond the last bin are left out.'
    table = markdown_table(['abs(yaw) of the label (deg)', 'faces', *errors], lines)
    return ['## By yaw', '', note, '', *table]


def _cost_section(cost: Mapping[str, Any]) -> list[str]:
    row = [
        f'{cost["parameters"] / 1e6:.2f} M',
        f'{cost["gmac"]:.3f}',
        f'{cost["ms_per_face"]:.1f}',
        f'{cost["device"]}, threads: {cost["threads"]}',
    ]
    note = 'GMAC: convolutions and matrix products of one crop. Time: median of single faces, crop '
    note += 'included.'
    table = markdown_table(['parameters', 'GMAC', 'ms per face', 'on'], [row])
    return ['## Cost', '', note, '', *table]
