#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same as a behaviour tree (py_trees): comfort who is sad, else idle.

pip install py-trees
python3 py_trees_greeter.py

    Root (selector)
    ├── Comfort (sequence)
    │   ├── SomebodyIs("sad")     SUCCESS while a sad look has been held and not been lost
    │   └── Say                   on ~/say, once for each person
    └── Idle
"""

import py_trees
import rclpy
from py_trees.common import Access, Status
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from std_msgs.msg import String

from caer_ros.msg import EmotionEvent


class SomebodyIs(py_trees.behaviour.Behaviour):
    """Succeeds while somebody shows `label` and has held it; puts the person on the blackboard."""

    def __init__(self, label: str, node: Node) -> None:
        super().__init__(f"SomebodyIs {label}")
        self.label = label
        self.people: dict[str, EmotionEvent] = {}
        self.blackboard = self.attach_blackboard_client()
        self.blackboard.register_key("person", access=Access.WRITE)
        qos = QoSProfile(depth=100, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(EmotionEvent, "caer/events", self.note, qos)

    def note(self, event: EmotionEvent) -> None:
        if event.kind == EmotionEvent.HELD and event.label == self.label:
            self.people[event.person_id] = event
        elif event.kind in (EmotionEvent.CHANGED, EmotionEvent.LOST):
            self.people.pop(event.person_id, None)

    def update(self) -> Status:
        if not self.people:
            return Status.FAILURE
        self.blackboard.person = next(iter(self.people.values()))
        return Status.SUCCESS


class Say(py_trees.behaviour.Behaviour):
    """Says something to the person on the blackboard, once."""

    def __init__(self, publisher: Publisher) -> None:
        super().__init__("Say")
        self.publisher = publisher
        self.said: set[str] = set()
        self.blackboard = self.attach_blackboard_client()
        self.blackboard.register_key("person", access=Access.READ)

    def update(self) -> Status:
        person = self.blackboard.person.person_id
        if person not in self.said:
            self.said.add(person)
            self.publisher.publish(String(data=f"{person}, can I help you?"))
        return Status.SUCCESS


def make_tree(node: Node) -> py_trees.trees.BehaviourTree:
    comfort = py_trees.composites.Sequence("Comfort", memory=False)
    say = Say(node.create_publisher(String, "~/say", 10))
    comfort.add_children([SomebodyIs("sad", node), say])
    root = py_trees.composites.Selector("Root", memory=False)
    root.add_children([comfort, py_trees.behaviours.Running("Idle")])
    return py_trees.trees.BehaviourTree(root)


def main() -> None:
    rclpy.init()
    try:
        node = Node("greeter")
        tree = make_tree(node)
        node.create_timer(0.1, tree.tick)
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    except Exception:
        # after Ctrl-C, which rclpy's handler answers, whatever was under way may fail
        if rclpy.ok():
            raise


if __name__ == "__main__":
    main()
