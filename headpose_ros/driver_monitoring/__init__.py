"""Faces in, driver state out: attention and drowsiness from poses and openness. No ROS."""
