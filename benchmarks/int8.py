r"""What 8-bit integers would bring `mnn_lite` by OpenVINO, and what they would cost.

pip install nncf 'headpose-ros[openvino]' && python benchmarks/int8.py

Calibrated on 200 crops of a photograph and compared on 100 others with the network in float32:
faster on the clock, farther off in rotation and landmarks. Only convolutions of the trunk are
quantised: with the read-outs in 8 bits rotations are off by ten degrees.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pictures import photograph
from rows import mnn_lite, set_threads

from headpose_ros.geometry.crop import CropWindow
from headpose_ros.geometry.rotations import geodesic
from headpose_ros.models.weights import LoadedModel
from headpose_ros.perception.backends.exported import Exported, exported
from headpose_ros.perception.crop import cut

_CALIBRATION, _JUDGED, _ROUNDS = 200, 100, 40
#: What may be quantised: by the names that the exporter gives the trunk's modules.
_TRUNK = ('/network/stage', '/network/down')
_KINDS = ('Convolution', 'GroupConvolution', 'HSwish', 'Constant', 'Parameter', 'Result')


def crops(model: LoadedModel) -> list[np.ndarray]:
    """Cut a face out of a photograph in many ways, uint8 (1, S, S, 3) each."""
    image, rng = photograph(), np.random.default_rng(0)
    places = rng.uniform([205, 110, 90, -0.7], [245, 150, 220, 0.7], (_CALIBRATION + _JUDGED, 4))
    return [cut(image, CropWindow(*place), model.spec.input_size)[None] for place in places]


def compiled(core: Any, network: Any) -> Callable[[np.ndarray], Any]:
    settings = {
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_NUM_THREADS': 1,
        'INFERENCE_PRECISION_HINT': 'f32',
    }
    request = core.compile_model(network, 'CPU', settings).create_infer_request()
    return lambda crop: request.infer([crop], share_inputs=True)


def quantised(network: Any, samples: list[np.ndarray]) -> Any:
    import nncf

    left = [
        operation.get_friendly_name()
        for operation in network.get_ops()
        if operation.get_type_name() not in _KINDS
        or not operation.get_friendly_name().startswith(_TRUNK)
    ]
    return nncf.quantize(
        network,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=left, validate=False),
    )


def differences(
    file: Exported, run: Callable[..., Any], wanted: Callable[..., Any], judged: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return degrees of rotation (J,), and px of 256 of every landmark (J, N)."""
    rotation, points = file.names.index('rotation'), file.names.index('points')
    pairs = [(run(crop), wanted(crop)) for crop in judged]
    degrees = [np.degrees(geodesic(a[rotation][0], b[rotation][0])) for a, b in pairs]
    away = [256 * np.linalg.norm(a[points][0] - b[points][0], axis=1) for a, b in pairs]
    return np.array(degrees), np.array(away)


def main() -> None:
    import openvino

    set_threads(1)
    model = mnn_lite()
    file, samples = exported(model), crops(model)
    core = openvino.Core()
    network = core.read_model(file.onnx)
    network.reshape({0: list(samples[0].shape)})
    full = compiled(core, network)
    small = compiled(core, quantised(network, samples[:_CALIBRATION]))
    judged = samples[_CALIBRATION:]
    degrees, away = differences(file, small, full, judged)
    ratios = []
    for crop in judged[:_ROUNDS]:
        seconds = []
        for run in (small, full):
            start = time.perf_counter()
            run(crop)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
    print(f'time of int8 over float32: {np.median(ratios):.2f}')
    for what, values in (('rotation, degrees', degrees), ('landmarks, px of 256', away)):
        high = np.percentile(values, 95)
        print(f'{what}: mean {values.mean():.2f}, 95 % {high:.2f}, most {values.max():.2f}')


if __name__ == '__main__':
    main()
