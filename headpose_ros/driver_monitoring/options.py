"""Every threshold of driver monitoring: unit, range, and where the default comes from."""

from __future__ import annotations

from dataclasses import dataclass

from headpose_ros.parameter import parameter

# Sources that several thresholds share.
_NHTSA = 'NHTSA visual-manual driver distraction guidelines, 78 FR 24817 (2013)'
_ATTEND = 'AttenD, Kircher and Ahlström (2009)'
_PERCLOS = 'Wierwille et al., DOT HS 808 247 (1994); Dinges and Grace, FHWA-MCRT-98-006 (1998)'
_BLINKS = 'Stern, Walrath and Goldstein (1984)'
_OURS = 'ours, see docs/nodes/driver.md'


@dataclass(frozen=True)
class DriverOptions:
    """The thresholds of :class:`headpose_ros.driver_monitoring.monitor.DriverMonitor`.

    Angles in rad, times in s by the stamps of the images, shares 0..1.
    """

    # Which face, and whether there is one.
    seat_region: list[float] = parameter(  # noqa: RUF009
        [0.0, 0.0, 1.0, 1.0],
        "Where the driver's face may be: x, y, width and height as shares of the image's.",
        minimum=0.0,
        maximum=1.0,
    )
    smallest_face: float = parameter(
        0.05,
        "Smallest side of a driver's face as a share of the image's height.",
        minimum=0.0,
        maximum=1.0,
        source=_OURS,
    )
    takeover: float = parameter(
        1.5,
        'Another face is the driver when it is so many times as large for takeover_seconds.',
        minimum=1.0,
        maximum=10.0,
        source=_OURS,
    )
    takeover_seconds: float = parameter(
        2.0,
        'See takeover; also how long a face out of sight is waited for.',
        minimum=0.0,
        maximum=60.0,
        unit='s',
        source=_OURS,
    )
    absent_seconds: float = parameter(
        5.0,
        'Nobody sits there after so long without a face, unless it had turned away.',
        minimum=0.5,
        maximum=60.0,
        unit='s',
        source=_OURS,
    )
    forget_seconds: float = parameter(
        20.0,
        'After so long without a face another driver may come: what was learned is dropped.',
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source=_OURS,
    )
    turned_away: float = parameter(
        0.7,
        'A face lost while turned farther than this from neutral is turned away, not gone.',
        minimum=0.3,
        maximum=2.0,
        unit='rad',
        source=_OURS,
    )
    stream_gap: float = parameter(
        0.75,
        'Longest time between two images; after a longer one the events under way are lost.',
        minimum=0.1,
        maximum=10.0,
        unit='s',
        source=_OURS,
    )
    still_seconds: float = parameter(
        2.0,
        'A face that is the same to the pixel for so long is a picture that stands still.',
        minimum=0.5,
        maximum=60.0,
        unit='s',
        source='ours: a head that breathes moves by more within a second',
    )
    unknown_grace: float = parameter(
        0.4,
        'An event survives so long without a measurement, then it is lost.',
        minimum=0.0,
        maximum=5.0,
        unit='s',
        source='ours: about the longest blink, Schiffman, Sensation and Perception (2001)',
    )

    # The neutral pose.
    neutral_seconds: float = parameter(
        6.0,
        'Time in the most frequent posture after which it counts as neutral.',
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source=_OURS,
    )
    neutral_memory: float = parameter(
        300.0,
        'Time constant with which former postures are forgotten.',
        minimum=10.0,
        maximum=7200.0,
        unit='s',
        source=_OURS,
    )

    # Zones and glances.
    zone_margin: float = parameter(
        0.035,
        'How far the head must leave a zone for it to be left.',
        minimum=0.0,
        maximum=0.3,
        unit='rad',
        source='ours: the error of the pose within a second, docs/weights.md',
    )
    head_window: float = parameter(
        0.1,
        'The direction of the head is the median over so long.',
        minimum=0.0,
        maximum=1.0,
        unit='s',
        source=_OURS,
    )
    glance_minimum: float = parameter(
        0.5,
        'A glance is looking away from the road for at least so long.',
        minimum=0.12,
        maximum=2.0,
        unit='s',
        source='above the shortest fixation of 0.12 s, ISO 15007:2020',
    )
    glance_release: float = parameter(
        0.2,
        'A glance has ended when the road was looked at for so long.',
        minimum=0.0,
        maximum=2.0,
        unit='s',
        source='above 0.12 s, ISO 15007:2020; refill delay of 0.1 s, ' + _ATTEND,
    )
    glance_limit: float = parameter(
        2.0,
        'Longest single glance; Euro NCAP warns at 3 s at the latest.',
        minimum=0.5,
        maximum=10.0,
        unit='s',
        source=_NHTSA + '; Euro NCAP Safe Driving v10.4 (2024)',
    )
    accumulated_limit: float = parameter(
        12.0,
        'Most time off the road in several glances; Euro NCAP: 10 s within 30 s.',
        minimum=1.0,
        maximum=60.0,
        unit='s',
        source=_NHTSA + '; Euro NCAP Safe Driving v10.4 (2024)',
    )
    accumulated_refill: float = parameter(
        0.5,
        'Seconds taken off the accumulated time by each second of looking at the road.',
        minimum=0.01,
        maximum=10.0,
        source='ours: 12 s are gone after 24 s, near the 30 s of Euro NCAP; AttenD has 1',
    )
    driving_allowance: float = parameter(
        1.0,
        'So much of each glance at mirrors and instruments is not accumulated.',
        minimum=0.0,
        maximum=5.0,
        unit='s',
        source=_ATTEND,
    )

    # Eyes.
    eye_visibility: float = parameter(
        0.5,
        "Mean visibility of an eye's landmarks below which the eye is hidden.",
        minimum=0.0,
        maximum=1.0,
        source='the middle of a probability',
    )
    eye_turn: float = parameter(
        0.8,
        'An eye is not measured from landmarks when the face is turned farther from the camera.',
        minimum=0.1,
        maximum=1.5,
        unit='rad',
        source=_OURS,
    )
    eye_memory: float = parameter(
        300.0,
        'Time constant with which former openings of the eyes are forgotten.',
        minimum=10.0,
        maximum=7200.0,
        unit='s',
        source=_OURS,
    )
    eye_seconds: float = parameter(
        5.0,
        "Time of seen eyes after which the driver's own open eye is known.",
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source=_OURS,
    )
    closed_aspect: float = parameter(
        0.35,
        "Aspect ratio of a closed eye's landmarks as a share of the open eye's.",
        minimum=0.0,
        maximum=0.9,
        source='about 0.1 of 0.3, Soukupová and Čech, eye blink detection (CVWW 2016)',
    )
    closed_below: float = parameter(
        0.2,
        'Eyes are closed below this openness.',
        minimum=0.02,
        maximum=0.5,
        source='P80: 80 % closed, ' + _PERCLOS,
    )
    open_above: float = parameter(
        0.35,
        'Closed eyes are open again above this openness.',
        minimum=0.05,
        maximum=0.9,
        source='hysteresis of two standard deviations of a measured openness',
    )
    blink_below: float = parameter(
        0.5,
        'A blink is the time below this openness.',
        minimum=0.1,
        maximum=0.9,
        source='ours: half of the amplitude',
    )
    blink_longest: float = parameter(
        0.5,
        'A longer one is a closure and no blink.',
        minimum=0.2,
        maximum=1.0,
        unit='s',
        source='the longest blinks take 0.5 s, ' + _BLINKS,
    )
    closure_minimum: float = parameter(
        0.5,
        'A closure is closed eyes for at least so long.',
        minimum=0.3,
        maximum=3.0,
        unit='s',
        source='longer than the longest blinks, ' + _BLINKS,
    )
    microsleep_minimum: float = parameter(
        1.0,
        'A micro-sleep is closed eyes for at least so long.',
        minimum=0.5,
        maximum=5.0,
        unit='s',
        source='Euro NCAP Safe Driving v10.4 (2024): 1 to 2 s',
    )
    sleep_minimum: float = parameter(
        3.0,
        'Sleep is closed eyes for at least so long.',
        minimum=1.0,
        maximum=10.0,
        unit='s',
        source='Euro NCAP Safe Driving v10.4 (2024)',
    )
    perclos_window: float = parameter(
        60.0,
        'Window of PERCLOS and of the blinks.',
        minimum=10.0,
        maximum=600.0,
        unit='s',
        source=_PERCLOS,
    )
    perclos_evidence: float = parameter(
        30.0,
        'PERCLOS and blinks are known when so much of the window was measured.',
        minimum=1.0,
        maximum=600.0,
        unit='s',
        source='ours: half of the window',
    )
    perclos_limit: float = parameter(
        0.15,
        'Drowsy above this PERCLOS.',
        minimum=0.02,
        maximum=0.9,
        source='ours: between the few per cent of alert drivers and deep drowsiness',
    )
    perclos_release: float = parameter(
        0.1,
        'No longer drowsy below this PERCLOS.',
        minimum=0.0,
        maximum=0.9,
        source='hysteresis of a third of the limit',
    )
    hidden_seconds: float = parameter(
        3.0,
        'Eyes seen for hardly any of so long, on a face in sight, are hidden: sunglasses.',
        minimum=0.5,
        maximum=60.0,
        unit='s',
        source=_OURS,
    )

    # Mouth and posture.
    yawn_above: float = parameter(
        0.55,
        'Opening of the mouth of a yawn: gap of the inner lips over width.',
        minimum=0.1,
        maximum=2.0,
        source='ours: above speech',
    )
    yawn_below: float = parameter(
        0.4,
        'A yawn ends below this opening.',
        minimum=0.05,
        maximum=2.0,
        source='hysteresis',
    )
    yawn_minimum: float = parameter(
        1.5,
        'A yawn lasts at least so long.',
        minimum=0.5,
        maximum=10.0,
        unit='s',
        source='ours: the wide part of a yawn of some seconds',
    )
    nod_depth: float = parameter(
        0.17,
        'How far the head drops in a nod.',
        minimum=0.05,
        maximum=1.0,
        unit='rad',
        source=_OURS,
    )
    nod_longest: float = parameter(
        2.5,
        'A nod is over within this time; a longer drop is a slump.',
        minimum=0.5,
        maximum=5.0,
        unit='s',
        source=_OURS,
    )
    nod_closed: float = parameter(
        0.4,
        'How long the eyes are closed in a nod.',
        minimum=0.1,
        maximum=3.0,
        unit='s',
        source='ours: longer than most blinks, ' + _BLINKS,
    )
    slump_angle: float = parameter(
        0.35,
        'How far a slumped head hangs from the neutral pose.',
        minimum=0.1,
        maximum=1.5,
        unit='rad',
        source=_OURS,
    )
    slump_minimum: float = parameter(
        3.0,
        'A head that hangs for so long has slumped.',
        minimum=0.5,
        maximum=30.0,
        unit='s',
        source='an unresponsive driver is to be told within 3 s, Euro NCAP v10.4 (2024)',
    )
    drowsy_window: float = parameter(
        300.0,
        'Window in which yawns and nods are counted.',
        minimum=30.0,
        maximum=3600.0,
        unit='s',
        source=_OURS,
    )
    drowsy_yawns: int = parameter(
        3, 'So many yawns in the window mean drowsy.', minimum=1, maximum=100, source=_OURS
    )
    drowsy_nods: int = parameter(
        2, 'So many nods in the window mean drowsy.', minimum=1, maximum=100, source=_OURS
    )
    confidence_window: float = parameter(
        2.0,
        'How sure the state is, is judged over so long.',
        minimum=0.1,
        maximum=60.0,
        unit='s',
        source=_OURS,
    )
