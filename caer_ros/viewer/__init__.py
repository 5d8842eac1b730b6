# SPDX-License-Identifier: Apache-2.0
"""`caer watch`: a camera, a video, a picture or a bag, read and shown without ROS."""
