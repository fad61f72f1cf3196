"""Check that training and heatmaps work on this machine's CPU and GPUs.

`mura-run check-device` trains small networks for a few steps on every kind of device, and compares
the losses with those of the CPU in float32. The work is done in separate processes (`worker.py`),
so that one that aborts or hangs fails only one check.
"""

from mura_core.pipeline.device_check.checking import check_device, plan_for

__all__ = ["check_device", "plan_for"]
