# SPDX-License-Identifier: Apache-2.0
"""Pictures to persons: detection, tracking, clips, crops, smoothing. No ROS, no torch."""
