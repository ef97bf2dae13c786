"""The judge: metrics, intervals, reports."""
