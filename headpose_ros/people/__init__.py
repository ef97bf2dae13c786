"""Faces in, people out: who is here, whom they attend to, how engaged they are. Needs no ROS."""
