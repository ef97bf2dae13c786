"""The eyelids: from the landmarks or the network's openness to closed eyes, blinks and PERCLOS.

`openness` measures one face, `levels` learns what is measured of this driver's open and closed
eyes, `closure` and `blinks` follow the lids over time; `eyelids.Eyelids` puts them together.
"""
