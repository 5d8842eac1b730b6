# SPDX-License-Identifier: Apache-2.0
import logging

import numpy as np
import pytest

from caer_ros.engines.base import Batch, Engine, EngineError, OutOfMemoryError, Prediction
from caer_ros.engines.fallback import FallbackEngine
from caer_ros.network.spec import NetworkSpec


class Counting(Engine):
    """Answers with what it was given, and has memory for so many persons."""

    device = "here"
    precision = "f32"
    spec = NetworkSpec()

    def __init__(self, name="first", memory=100, max_batch=100, failure=None):
        self.name = name
        self.memory = memory
        self.max_batch = max_batch
        self.failure = failure
        self.batches = []
        self.closed = False

    def infer(self, batch):
        if self.failure is not None:
            raise self.failure
        count = len(batch)
        assert count <= self.max_batch
        if count > self.memory:
            raise OutOfMemoryError(f"no memory for {count}")
        self.batches.append(count)
        probabilities = np.zeros((count, 7), np.float32)
        if batch.faces is not None:
            probabilities[:, 0] = batch.faces[:, 0, 0, 0]
        if batch.contexts is not None:
            probabilities[:, 1] = batch.contexts[batch.context_index][:, 0, 0, 0]
        ones = np.ones(count, np.float32)
        return Prediction(probabilities, ones, 0 * ones, np.ones((count, 2, 2), np.float32))

    def close(self):
        self.closed = True


def persons(count, scenes=3):
    """Crops that carry the number of their person, of their scene."""
    faces = np.zeros((count, 96, 96, 3), np.uint8)
    faces[:] = np.arange(count)[:, None, None, None]
    contexts = np.zeros((scenes, 112, 112, 3), np.uint8)
    contexts[:] = 100 + np.arange(scenes)[:, None, None, None]
    return Batch(faces, contexts, np.arange(count)[::-1] % scenes)


def assert_answers(prediction, count, scenes=3):
    np.testing.assert_array_equal(prediction.probabilities[:, 0], np.arange(count))
    np.testing.assert_array_equal(
        prediction.probabilities[:, 1], 100 + np.arange(count)[::-1] % scenes
    )
    assert prediction.face_weight.shape == prediction.context_weight.shape == (count,)
    assert prediction.attention.shape == (count, 2, 2)


def test_a_power_makes_probabilities_less_sure_and_they_still_sum_to_one():
    prediction = FallbackEngine([Counting], power=0.5).infer(persons(4))
    # of persons() the first class has 3, the second 100 and the others nothing
    expected = np.sqrt([3, 100]) / np.sqrt([3, 100]).sum()
    np.testing.assert_allclose(prediction.probabilities[3, :2], expected, rtol=1e-6)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1, rtol=1e-6)


def fail(reason):
    def make():
        raise EngineError(reason)

    return make


def test_the_first_that_loads_is_used_and_one_warning_says_why(caplog):
    second = Counting("second")
    engine = FallbackEngine([fail("no GPU"), fail("no torch"), lambda: second])
    assert (engine.name, engine.device, engine.precision) == ("second", "here", "f32")
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert warning.message == "no GPU; no torch; using second on here"


def test_an_engine_that_loads_at_once_is_no_news(caplog):
    FallbackEngine([Counting, fail("not asked")])
    assert not caplog.records


def test_when_none_loads_all_reasons_are_given():
    with pytest.raises(EngineError, match="no engine can run: no GPU; no torch"):
        FallbackEngine([fail("no GPU"), fail("no torch")])


@pytest.mark.parametrize(("count", "batches"), [(1, [1]), (4, [4]), (11, [4, 4, 3])])
def test_more_persons_than_an_engine_takes_are_run_in_parts(count, batches):
    first = Counting(max_batch=4)
    assert_answers(FallbackEngine([lambda: first]).infer(persons(count)), count)
    assert first.batches == batches


def test_without_a_context_stream_parts_have_none():
    first = Counting(max_batch=2)
    prediction = FallbackEngine([lambda: first]).infer(Batch(persons(5).faces))
    np.testing.assert_array_equal(prediction.probabilities[:, 0], np.arange(5))


def test_without_a_face_stream_parts_have_none():
    first = Counting(max_batch=2)
    _, contexts, index = persons(5).arrays
    prediction = FallbackEngine([lambda: first]).infer(Batch(None, contexts, index))
    np.testing.assert_array_equal(prediction.probabilities[:, 1], 100 + index)


def test_a_batch_without_memory_is_halved_from_then_on(caplog):
    first = Counting(memory=3)
    engine = FallbackEngine([lambda: first, fail("not asked")])
    assert_answers(engine.infer(persons(10)), 10)
    assert first.batches == [2, 2, 2, 2, 2]
    assert len(caplog.records) == 2  # 5, then 2
    assert_answers(engine.infer(persons(6)), 6)
    assert first.batches[5:] == [2, 2, 2]
    assert len(caplog.records) == 2


def test_when_one_person_has_no_memory_the_next_engine_goes_on(caplog):
    first = Counting(memory=0, max_batch=2)
    second = Counting("second", memory=5)
    engine = FallbackEngine([lambda: first, lambda: second])
    assert_answers(engine.infer(persons(7)), 7)
    assert first.closed
    assert engine.name == "second"
    assert second.batches == [3, 3, 1]
    assert "no memory for 1; using second" in caplog.text


def test_the_last_engine_stays_though_it_has_no_memory_for_a_frame():
    last = Counting(memory=0)
    engine = FallbackEngine([lambda: last])
    with pytest.raises(EngineError, match="no memory for 1"):
        engine.infer(persons(1))
    last.memory = 1
    assert_answers(engine.infer(persons(1)), 1)


def test_other_failures_are_left_to_the_caller():
    broken = Counting(failure=EngineError("driver gone"))
    engine = FallbackEngine([lambda: broken, Counting])
    with pytest.raises(EngineError, match="driver gone"):
        engine.infer(persons(1))
    broken.failure = None
    assert_answers(engine.infer(persons(1)), 1)


def test_closing_closes_the_engine_in_use():
    first = Counting()
    FallbackEngine([lambda: first]).close()
    assert first.closed
