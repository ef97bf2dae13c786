"""Training, synthesis and judgement of the networks in `headpose_ros.models`."""
