# SPDX-License-Identifier: Apache-2.0
"""One slot a camera."""

import threading
import time

from caer_ros.ros.mailbox import Mailbox


def test_a_newer_message_takes_the_place_of_an_older_one():
    mailbox = Mailbox()

    assert not mailbox.put("left", 1)
    assert mailbox.put("left", 2)
    assert not mailbox.put("right", 3)

    assert mailbox.take() == {"left": 2, "right": 3}
    assert not mailbox.put("left", 4)


def test_take_waits_for_a_message():
    mailbox, taken = Mailbox(), []
    thread = threading.Thread(target=lambda: taken.append(mailbox.take()))
    thread.start()

    mailbox.put("left", 1)
    thread.join()

    assert taken == [{"left": 1}]


def test_a_wait_for_nothing_ends_when_told():
    assert Mailbox().take(0.01) == {}


def test_closing_ends_the_wait_and_drops_what_is_left():
    mailbox = Mailbox()
    mailbox.put("left", 1)

    assert mailbox.close() == ["left"]

    assert mailbox.take() is None


def test_every_message_is_taken_or_counted_as_overwritten():
    mailbox, taken = Mailbox(), []

    def work():
        while (batch := mailbox.take()) is not None:
            taken.extend(batch.values())

    thread = threading.Thread(target=work)
    thread.start()
    overwritten = sum(mailbox.put("left", number) for number in range(1, 5000))
    mailbox.put("right", 0)
    while not {0, 4999} <= set(taken):
        time.sleep(0.001)
    mailbox.close()
    thread.join()

    assert len(taken) == 5000 - overwritten
    left = [number for number in taken if number]
    assert left == sorted(left)
