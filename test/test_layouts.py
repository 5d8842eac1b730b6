# SPDX-License-Identifier: Apache-2.0
"""The layouts for Foxglove and RViz show what the node publishes."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from caer_ros.msg import EmotionArray, EmotionEvent
from caer_ros.paths import share_folder

CONFIG = share_folder() / "config"
LAYOUT = json.loads((CONFIG / "foxglove.json").read_text())
TOPICS = {"/caer/emotions": EmotionArray, "/caer/events": EmotionEvent}
OTHERS = {
    "/caer/debug_image",
    "/caer/debug_image/compressed",
    "/caer/annotations",
    "/diagnostics",
}


def panels(layout):
    """Return the panels of a layout, a tree of halves; those in a tab too."""
    if isinstance(layout, str):
        tabs = LAYOUT["configById"][layout].get("tabs", [])
        return [layout, *(panel for tab in tabs for panel in panels(tab["layout"]))]
    return panels(layout["first"]) + panels(layout["second"])


def paths():
    return [
        path["value"] for panel in LAYOUT["configById"].values() for path in panel.get("paths", [])
    ]


def test_every_panel_is_shown_once():
    assert sorted(panels(LAYOUT["layout"])) == sorted(LAYOUT["configById"])


@pytest.mark.parametrize("path", paths())
def test_every_path_leads_to_a_field(path):
    topic, *fields = path.split(".")
    message = TOPICS[topic]
    for field in fields:
        name = re.sub(r"\[\d+\]$", "", field)
        kind = message.get_fields_and_field_types()[name]
        assert (name != field) == bool(re.search("sequence|\\[", kind)), path
        if nested := re.search(r"(\w+)/(\w+)", kind):
            message = getattr(import_module(f"{nested[1]}.msg"), nested[2])


def test_every_other_topic_is_one_of_the_node():
    text = (CONFIG / "foxglove.json").read_text() + (CONFIG / "caer.rviz").read_text()
    named = set(re.findall(r"(/caer/[\w/]+|/diagnostics)", text))
    assert named == {*TOPICS, *OTHERS}


def test_rviz_reads_its_layout_as_yaml():
    rviz = yaml.safe_load((CONFIG / "caer.rviz").read_text())
    (image, _) = rviz["Visualization Manager"]["Displays"]
    assert image["Topic"]["Value"] == "/caer/debug_image"
    assert Path(CONFIG / "caer.rviz").read_text().startswith("# SPDX")
