"""Messages to core types: images, depth, calibrations, transforms, paired by stamp."""
