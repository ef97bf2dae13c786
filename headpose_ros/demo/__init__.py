"""The demonstration: camera node, pose node and a recorder, and what they leave in a folder."""
