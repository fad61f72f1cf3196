"""Check that this machine's processors and GPUs train and explain as they should.

`mura-run check-device` trains small networks for a few steps on every kind of device there is, and
compares the losses with those of the CPU in float32. The work is done in processes of its own
(`worker.py`), so that one that is aborted or hangs fails one check and not the others.
"""

from mura_core.pipeline.device_check.checking import check_device, plan_for

__all__ = ["check_device", "plan_for"]
