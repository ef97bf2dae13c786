"""Rotations, camera models, the face frame, crops and landmark schemes. No torch, no ROS."""
