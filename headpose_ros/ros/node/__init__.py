"""What every node is made of: parameters, lifecycle, callbacks, diagnostics, QoS."""
