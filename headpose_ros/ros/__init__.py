"""Everything that knows ROS: messages, QoS profiles, parameters, calibration files."""
