"""Anonymous persons as ROS4HRI (REP 155) has them, by the messages of the package hri_msgs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Bool, Float32, Header, String
from tf2_msgs.msg import TFMessage

from headpose_ros.people.attention import CAMERA, Attention, AttentionOptions
from headpose_ros.people.engagement import Engagement, Level
from headpose_ros.people.persons import Match, Person, Persons
from headpose_ros.perception.faces import Face
from headpose_ros.ros.node import qos
from headpose_ros.ros.node.stamps import seconds
from headpose_ros.ros.output.hri import hri_msgs, ids_message, publish_if_subscribed
from headpose_ros.ros.output.tf import person_frames

_ROOT = '/humans/persons'
#: Matches and frames that wait for a reader, or are kept for a late one.
_DEPTH = 100


@dataclass
class _View:
    """The people before one camera: who they are, whether they attend to it, how engaged."""

    persons: Persons
    attention: Attention
    engagement: dict[str, Engagement] = field(default_factory=dict)


class HriPersons:
    """Publishes an anonymous person for every face, and which persons a face may belong to.

    `/humans/candidate_matches`, `/humans/persons/known` and `tracked`; for every person
    `anonymous`, `face_id`, `location_confidence` and `engagement_status`;
    `/humans/interactions/gazing` for who attends to the robot, which is the camera; frames
    `person_<id>`.

    Args:
        node: The node that publishes.
        memory: How long persons out of sight are remembered, s; may be changed at any time.
        attention: What attention is, and from when on it is engagement.

    Raises:
        HeadposeError: hri_msgs is not installed.
    """

    def __init__(self, node: Node, memory: float, attention: AttentionOptions) -> None:
        self._node, self._types = node, hri_msgs()
        self.memory, self.attention = memory, attention
        types, create = self._types, node.create_publisher
        self._publishers = {
            'matches': create(types.IdsMatch, '/humans/candidate_matches', qos.latched(_DEPTH)),
            'known': create(types.IdsList, f'{_ROOT}/known', qos.reliable()),
            'tracked': create(types.IdsList, f'{_ROOT}/tracked', qos.reliable()),
            'gazing': create(types.Gaze, '/humans/interactions/gazing', qos.reliable(_DEPTH)),
            'tf': create(TFMessage, '/tf', qos.reliable(_DEPTH)),
        }
        self._views: dict[str, _View] = {}
        self._persons: dict[str, dict[str, Any]] = {}
        self._face_ids: dict[str, str] = {}

    @property
    def has_audience(self) -> bool:
        """Whether somebody subscribes to anything but TF."""
        publishers = [p for name, p in self._publishers.items() if name != 'tf']
        publishers += [p for person in list(self._persons.values()) for p in person.values()]
        return any(publisher.get_subscription_count() for publisher in publishers)

    def publish(self, camera: str, header: Any, faces: Sequence[Face]) -> None:
        """Publish the people in one image.

        Args:
            camera: Which of the node's cameras took it.
            header: The image's.
            faces: The faces, in the optical frame.
        """
        view = self._view(camera)
        stamp = seconds(header.stamp)
        matches = view.persons.update(stamp, faces)
        attending = view.attention.update(stamp, faces, {CAMERA: np.zeros(3)})
        self._follow(header)
        self._publish_matches(matches)
        known = {person.id for person in view.persons.known}
        view.engagement = {name: one for name, one in view.engagement.items() if name in known}
        states = {one.face: (one.attending, one.duration) for one in attending}
        for person in view.persons.known:
            self._publish_person(view, header, person, states.get(person.face))
        self._publish_frames(header, faces, view.persons.known)

    def forget(self, header: Any, cameras: Iterable[str] | None = None) -> None:
        """Forget the people before cameras that are silent, or everybody.

        Args:
            header: Of the newest image.
            cameras: Which; None for all.
        """
        for camera in list(self._views) if cameras is None else list(cameras):
            if (view := self._views.pop(camera, None)) is not None:
                self._publish_matches(view.persons.clear())
        self._follow(header)

    def destroy(self) -> None:
        """Forget everybody and withdraw all publishers."""
        self.forget(Header())
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)

    def _view(self, camera: str) -> _View:
        cone = self.attention.cone
        view = self._views.setdefault(camera, _View(Persons(self.memory), Attention(cone)))
        view.persons.memory, view.attention.cone = self.memory, cone
        return view

    def _known(self) -> list[Person]:
        return [person for view in self._views.values() for person in view.persons.known]

    def _publish_matches(self, matches: Sequence[Match]) -> None:
        """Publish matches; also without subscribers, for late ones."""
        types = self._types.IdsMatch
        for match in matches:
            self._publishers['matches'].publish(
                types(
                    id1=match.face,
                    id1_type=types.FACE,
                    id2=match.person,
                    id2_type=types.PERSON,
                    confidence=match.likelihood,
                )
            )

    def _follow(self, header: Any) -> None:
        """Have publishers for the persons that are known, and publish both lists."""
        known = self._known()
        names = {person.id for person in known}
        for name in self._persons.keys() - names:
            for publisher in self._persons.pop(name).values():
                self._node.destroy_publisher(publisher)
            self._face_ids.pop(name, None)
        for name in sorted(names - self._persons.keys()):
            self._persons[name] = self._create(name)
            self._persons[name]['anonymous'].publish(Bool(data=True))
        self._publish_ids('known', header, names)
        self._publish_ids('tracked', header, [person.id for person in known if person.present])

    def _publish_ids(self, topic: str, header: Any, ids: Iterable[str]) -> None:
        publish_if_subscribed(
            self._publishers[topic], lambda: ids_message(self._types, header, ids)
        )

    def _create(self, name: str) -> dict[str, Any]:
        kinds = {
            'anonymous': (Bool, qos.latched()),
            'face_id': (String, qos.latched()),
            'location_confidence': (Float32, qos.reliable()),
            'engagement_status': (self._types.EngagementLevel, qos.reliable()),
        }
        return {
            topic: self._node.create_publisher(kind, f'{_ROOT}/{name}/{topic}', profile)
            for topic, (kind, profile) in kinds.items()
        }

    def _publish_person(
        self, view: _View, header: Any, person: Person, state: tuple[bool, float] | None
    ) -> None:
        publishers, types = self._persons[person.id], self._types
        face = person.face if person.present else ''
        if self._face_ids.get(person.id) != face:
            self._face_ids[person.id] = face
            publishers['face_id'].publish(String(data=face))
        level = self._level(view, person, state)
        publish_if_subscribed(
            publishers['location_confidence'], lambda: Float32(data=float(person.present))
        )
        publish_if_subscribed(
            publishers['engagement_status'],
            lambda: types.EngagementLevel(header=header, level=int(level)),
        )
        if state is not None and state[0]:
            # No receiver: the robot.
            publish_if_subscribed(
                self._publishers['gazing'], lambda: types.Gaze(header=header, sender=person.id)
            )

    def _level(self, view: _View, person: Person, state: tuple[bool, float] | None) -> Level:
        """Return how engaged a person is; unknown out of sight, which changes nothing."""
        engagement = view.engagement.setdefault(person.id, Engagement(self.attention.dwell))
        engagement.dwell = self.attention.dwell
        return Level.UNKNOWN if state is None else engagement.update(*state)

    def _publish_frames(self, header: Any, faces: Sequence[Face], known: Sequence[Person]) -> None:
        """Publish the frames of persons whose place is known."""
        people = {person.face: person.id for person in known if person.present}
        frames = person_frames(header, {people[face.id]: face for face in faces})
        if frames.transforms:
            publish_if_subscribed(self._publishers['tf'], lambda: frames)
