"""Recorded bags in; bags, timelines, reports and verdicts out. No rclpy needed."""
