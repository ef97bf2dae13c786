"""Thresholds of the eyelids."""

from __future__ import annotations

from dataclasses import dataclass

from headpose_ros.driver_monitoring.thresholds import BLINKS, OURS, PERCLOS, check_ascending
from headpose_ros.parameter import parameter


@dataclass(frozen=True)
class LidOptions:
    """How openness is measured, learned, and turned into closed eyes and blinks."""

    visibility: float = parameter(
        0.5,
        "Mean visibility of an eye's landmarks below which the eye is hidden.",
        minimum=0.0,
        maximum=1.0,
        source='the middle of a probability',
        former='eye_visibility',
    )
    farthest_turn: float = parameter(
        0.8,
        'Turn of the face from the camera beyond which no eye is measured from landmarks.',
        minimum=0.1,
        maximum=1.5,
        unit='rad',
        source=OURS,
        former='eye_turn',
    )
    learning_seconds: float = parameter(
        5.0,
        "Time of seen eyes after which the driver's own open eye is known.",
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source=OURS,
        former='eye_seconds',
    )
    memory_seconds: float = parameter(
        300.0,
        'Time constant with which former openings of the eyes are forgotten.',
        minimum=10.0,
        maximum=7200.0,
        unit='s',
        source=OURS,
        former='eye_memory',
    )
    closed_aspect: float = parameter(
        0.35,
        "Aspect ratio of a closed eye's landmarks as a share of the open eye's.",
        minimum=0.0,
        maximum=0.9,
        source='about 0.1 of 0.3, Soukupová and Čech, eye blink detection (CVWW 2016)',
        former='closed_aspect',
    )
    closed_below: float = parameter(
        0.2,
        'Eyes are closed below this openness.',
        minimum=0.02,
        maximum=0.5,
        source='P80: 80 % closed, ' + PERCLOS,
        former='closed_below',
    )
    open_above: float = parameter(
        0.35,
        'Closed eyes are open again above this openness.',
        minimum=0.05,
        maximum=0.9,
        source='hysteresis of two standard deviations of a measured openness',
        former='open_above',
    )
    blink_below: float = parameter(
        0.5,
        'A blink is the time below this openness.',
        minimum=0.1,
        maximum=0.9,
        source='ours: half of the amplitude',
        former='blink_below',
    )
    blink_longest: float = parameter(
        0.5,
        'Longest blink; closed eyes for longer are a closure.',
        minimum=0.2,
        maximum=1.0,
        unit='s',
        source='the longest blinks take 0.5 s, ' + BLINKS,
        former='blink_longest',
    )
    hidden_seconds: float = parameter(
        3.0,
        'Eyes hardly seen during this time, on a face in sight, are hidden: sunglasses.',
        minimum=0.5,
        maximum=60.0,
        unit='s',
        source=OURS,
        former='hidden_seconds',
    )

    def __post_init__(self) -> None:
        """Refuse thresholds that contradict each other."""
        check_ascending(self, 'closed_below', 'open_above')


@dataclass(frozen=True)
class PerclosOptions:
    """The measure PERCLOS and its limit."""

    window: float = parameter(
        60.0,
        'Window of PERCLOS and of the blinks.',
        minimum=10.0,
        maximum=600.0,
        unit='s',
        source=PERCLOS,
        former='perclos_window',
    )
    evidence: float = parameter(
        30.0,
        'Measured time within the window after which PERCLOS and blinks are known.',
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source='ours: half of the window',
        former='perclos_evidence',
    )
    limit: float = parameter(
        0.15,
        'Drowsy above this PERCLOS.',
        minimum=0.02,
        maximum=0.9,
        source='ours: between the few per cent of alert drivers and deep drowsiness',
        basic=True,
        former='perclos_limit',
    )
    release: float = parameter(
        0.1,
        'No longer drowsy below this PERCLOS.',
        minimum=0.0,
        maximum=0.9,
        source='hysteresis of a third of the limit',
        former='perclos_release',
    )

    def __post_init__(self) -> None:
        """Refuse thresholds that contradict each other."""
        check_ascending(self, 'release', 'limit')
