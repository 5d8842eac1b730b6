"""Pictures to persons: detection, tracking, clips, crops, smoothing. No ROS, no torch."""
