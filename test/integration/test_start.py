# SPDX-License-Identifier: Apache-2.0
"""`caer node`: the node at work without `ros2`."""

from __future__ import annotations

from .conftest import CAER


def test_the_node_comes_to_work_and_answers_on_the_topic_named(graph, tmp_path):
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(
        "/**: {ros__parameters: {image_topics: [/elsewhere], detector.min_size: 33}}\n"
    )
    node = graph.start(CAER, "node", "--image", "/front", "--params", str(parameters))
    node.wait_for("reading /front ")
    assert "/elsewhere" not in node.output
    assert graph.answer(graph.picture, "/front").camera == "/front"
    assert node.stop() == 0


def test_weights_that_are_missing_are_named_and_the_node_waits_for_better_ones(graph):
    node = graph.start(CAER, "node", "--weights", "12")
    node.wait_for("weights '12' are neither a file nor a network of the package")
    assert node.stop() == 0
