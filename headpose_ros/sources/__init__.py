"""Cameras, films and pictures: what gives images. No ROS."""
