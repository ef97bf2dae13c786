"""Core types to messages: faces, landmarks, TF, markers, clouds, ROS4HRI, the driver."""
