# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy beside the node's real topics and services."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

POLICY = Path(__file__).parents[2] / "config" / "sros2_policy.xml"


def allowed(kind: str, right: str) -> set[str]:
    """Return what the policy allows the node: names of topics or services."""
    profile = ElementTree.parse(POLICY).find(".//profile[@node='caer']")
    names = profile.iterfind(f"{kind}s[@{right}='ALLOW']/{kind}")
    return {name.text.replace("~", "/caer/") for name in names}


def test_the_policy_names_all_that_the_node_has(graph):
    graph.start_active_node("-r", "image:=/camera/image_raw")
    node = graph.node

    def names(found):
        return {name for name, _ in found("caer", "/")}

    graph.spin(lambda: "/camera/image_raw" in names(node.get_subscriber_names_and_types_by_node))
    subscribed = names(node.get_subscriber_names_and_types_by_node)
    assert subscribed <= allowed("topic", "subscribe")
    assert names(node.get_publisher_names_and_types_by_node) <= allowed("topic", "publish")
    assert names(node.get_service_names_and_types_by_node) <= allowed("service", "reply")
