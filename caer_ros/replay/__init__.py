# SPDX-License-Identifier: Apache-2.0
"""Recorded bags in; bags, timelines, reports and verdicts out. No rclpy needed."""
