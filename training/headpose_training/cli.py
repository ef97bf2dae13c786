"""`headpose-train`: check data, fit, evaluate, export, and the studies."""

from __future__ import annotations

import pkgutil
import sys

from headpose_ros.errors import HeadposeError
from headpose_ros.terminal import accept_any_text, finish, report
from jsonargparse import auto_cli

from headpose_training.errors import TrainingError

#: Where each command is; modules are imported when they are called, as some take seconds.
COMMANDS = {
    'benchmark-fit': 'headpose_training.speed:benchmark_fit',
    'benchmark-render': 'headpose_training.synthesis.command:benchmark',
    'check': 'headpose_training.data.formats:check',
    'compare': 'headpose_training.metrics.compare:compare',
    'convert-ict': 'headpose_training.synthesis.heads.ict_convert:convert_ict',
    'demo-driver': 'headpose_training.demo.drive:demo_driver',
    'evaluate': 'headpose_training.metrics.evaluate:evaluate',
    'export': 'headpose_training.export:export',
    'import-hopenet': 'headpose_training.export:import_hopenet',
    'judge-driver': 'headpose_training.driving.command:judge_driver',
    'judge-driver-rendered': 'headpose_training.driving.command:judge_rendered',
    'label': 'headpose_training.labelling.command:label',
    'mean-face': 'headpose_training.data.mean_face:write_mean_face',
    'pack-rendered': 'headpose_training.synthesis.pack:pack_rendered',
    'plot-runs': 'headpose_training.metrics.history:plot_runs',
    'render': 'headpose_training.synthesis.command:render',
    'run': 'headpose_training.recipes.command:run',
    'smoke': 'headpose_training.smoke:smoke',
    'study-annotation': 'headpose_training.studies.annotation:annotation',
    'study-landmark-to-pose': 'headpose_training.studies.landmark_to_pose:landmark_to_pose',
    'study-low-resolution': 'headpose_training.studies.low_resolution:low_resolution',
    'study-pose-labels': 'headpose_training.studies.pose_labels:pose_labels',
    'study-rendering-worth': 'headpose_training.studies.rendering_worth:rendering_worth',
    'study-loss-weights': 'headpose_training.studies.loss_weights:loss_weights',
    'study-symmetry': 'headpose_training.studies.symmetry:symmetry',
    'study-tracking': 'headpose_training.studies.tracking:tracking',
    'study-viewing-ray': 'headpose_training.studies.viewing_ray:viewing_ray',
    'study-weights': 'headpose_training.studies.weights:judge_weights',
    'study-zero-pitch': 'headpose_training.studies.zero_pitch:zero_pitch',
}
#: Options that stand for themselves.
_FLAGS = ('--dry_run', '--overwrite', '--quick')
_USAGE = """usage: headpose-train COMMAND --help

  benchmark-fit     crops a second of training, plain and fast, and their losses
  benchmark-render  how many faces are rendered in a second
  check             look through a dataset folder: headpose-train check --format biwi --folder D
  fit               train a system:       headpose-train fit --config configs/ccr_small.yaml
  evaluate          judge weights:        headpose-train evaluate --weights W --data D --out O
  compare           one table of many reports
  convert-ict       the public ICT-FaceKit repository to one npz of heads
  demo-driver       a rendered drive through the nodes over ROS topics, with truth beside it
  export            checkpoint to weights and card: headpose-train export --checkpoint C --out W
  import-hopenet    weights published with the Hopenet paper to ours
  judge-driver      the driver monitor against simulated drives with truth
  judge-driver-rendered  detector, network and driver monitor against rendered drives
  label             labels for photographs that have none, by teachers
  mean-face         make the mean face of the package anew
  pack-rendered     a few easy rendered faces in one small file, to test weights with
  plot-runs         losses and judgements along runs, as a PNG
  render            labelled faces:       headpose-train render --count 10000 --out D
  run               a recipe, from data to the card: headpose-train run recipes/R.yaml --data D
  smoke             train every system for a few steps on drawn faces

studies, each writes a table and a plot:
  study-annotation         where annotators mark what rendered faces have elsewhere
  study-landmark-to-pose   pose from landmarks by solvePnP: subsets, jitter, another face
  study-low-resolution     pose and landmarks of blurred-away faces
  study-loss-weights       Hopenet's weight of the regression loss
  study-pose-labels        do poses of photographs and of rendered heads mean the same?
  study-rendering-worth    photographs, rendered faces, both; and what each part of them is worth
  study-symmetry           do the labels of photographs lie where their pictures are?
  study-tracking           ids of rendered people who cross, leave and return
  study-viewing-ray        from the crop to the camera's frame, and the distance
  study-weights            weights in use: detector's boxes, bad pictures, jitter, trust
  study-zero-pitch         "straight ahead" of rendered heads against that of labels"""


def main() -> int:
    """Run one command; return 0, or 2 after a one-line error."""
    accept_any_text()
    command, arguments = (sys.argv[1:2] or ['--help'])[0], sys.argv[2:]
    try:
        if command == 'fit':
            pkgutil.resolve_name('headpose_training.fit:fit')(_words(command, arguments))
        elif command in COMMANDS:
            function = pkgutil.resolve_name(COMMANDS[command])
            auto_cli(function, args=_words(command, arguments), as_positional=False)
        else:
            print(_USAGE)
            return 0 if command in ('-h', '--help') else 2
        finish()
    except (TrainingError, HeadposeError, OSError) as error:
        return report(f'headpose-train {command}', error)
    return 0


def _words(command: str, arguments: list[str]) -> list[str]:
    """Return arguments as jsonargparse takes them: it has no bare flags, and names for all."""
    if command == 'run' and arguments and not arguments[0].startswith('-'):
        arguments = ['--recipe', *arguments]
    following = [*arguments[1:], '']
    return [
        f'{word}=true' if word in _FLAGS and after not in ('true', 'false') else word
        for word, after in zip(arguments, following, strict=True)
    ]


if __name__ == '__main__':
    sys.exit(main())
