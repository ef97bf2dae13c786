"""Two ways to run a network, both from the same crops to the same named arrays.

ONNX Runtime on CPUs, PyTorch on GPUs and wherever ONNX lacks something. `choose.py` says which is
tried when. Only `pytorch.py`, `deployed.py` and `exported.py` import PyTorch.
"""
