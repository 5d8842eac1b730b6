# SPDX-License-Identifier: Apache-2.0
"""The node's process: memory, signals, executor."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from caer_ros.process import keep_opencv_to_one_thread

if TYPE_CHECKING:
    from rclpy.executors import Executor


def keep_large_blocks() -> None:
    """Let glibc keep freed blocks of image size instead of giving them back at every message.

    Mapping and unmapping megabytes per image costs more CPU than reading it (docs/performance.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    # older glibc refuses a threshold above 32 MB (mallopt(3)), and the other two would then have
    # switched off the one that adapts itself
    for option, megabytes in (_M_MMAP_THRESHOLD, 32), (_M_TRIM_THRESHOLD, 256), (_M_TOP_PAD, 32):
        mallopt(option, megabytes << 20)


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def make_executor() -> Executor:
    """Return the executor that costs least per message; the events executor came with Kilted."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        from rclpy.executors import SingleThreadedExecutor

        return SingleThreadedExecutor()
    return EventsExecutor()


def main(args: list[str] | None = None, **node_arguments: Any) -> int:
    """Run a `CaerNode(**node_arguments)` until SIGINT or SIGTERM; return the exit status."""
    # before the imports, which take a second, so that a signal then ends the node in order too
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    keep_large_blocks()
    keep_opencv_to_one_thread()
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from caer_ros.ros.node import CaerNode

    try:
        # rclpy's own handlers would end the context while the worker still publishes
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = CaerNode(**node_arguments)
    # arguments that rcl does not understand, a log folder that cannot be written
    except Exception as error:
        reason = " ".join(str(error).split())
        print(
            f"caer_node: cannot start: {reason}\n"
            "caer_node: are the --ros-args right, is the log folder writable (ROS_LOG_DIR)?",
            file=sys.stderr,
        )
        rclpy.try_shutdown()
        return 1
    executor = make_executor()
    executor.add_node(node)
    if not stop.is_set():
        node.bring_up()
    while not stop.is_set():
        try:
            # an endless wait would keep the events executor of rclpy 9.1 busy
            executor.spin_once(timeout_sec=0.2)
        # a message that rclpy itself cannot take, such as a /clock below zero
        except Exception as error:
            node.health.failed(error)
    # `ros2 launch` sends on the SIGINT that we got from the terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    node.release()
    # the events executor must let go of the node before either is destroyed
    executor.remove_node(node)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(uninstall_handlers=False)
    return 0
