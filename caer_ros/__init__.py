# SPDX-License-Identifier: Apache-2.0
"""Emotions of the people a robot sees: faces tracked, clips kept, CAER-Net run, ROS 2 out."""
