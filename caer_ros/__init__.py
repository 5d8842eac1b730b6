"""Emotions of the people a robot sees: faces tracked, clips kept, CAER-Net run, ROS 2 out."""
