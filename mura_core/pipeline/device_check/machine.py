"""List the devices that the driver and TensorFlow see."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

from mura_core.cores import usable_cores
from mura_core.inference import gpu_memory, nvidia_gpus, strategy_on
from mura_core.pipeline.device_check.records import Job, Outcome, Setting, Status

_LEAST_SHARE = 0.5  # of the GPU memory, which TensorFlow should be able to take


def look_at_devices(job: Job, setting: Setting) -> list[Outcome]:
    """Return one outcome per device, and one with the versions of the software.

    Parameters
    ----------
    job : Job
        Not used.
    setting : Setting
        Not used.
    """
    import tensorflow as tf

    build = tf.sysconfig.get_build_info()
    software = {
        "TensorFlow": version("tensorflow"),
        "Keras": version("keras"),
        "mura-run": _version_of("mura-run"),
        "Python": platform.python_version(),
        "CUDA": build.get("cuda_version", "not built in"),
        "cuDNN": build.get("cudnn_version", "not built in"),
    }
    found = [
        Outcome(
            "devices",
            "software",
            "passed",
            ", ".join(f"{name} {number}" for name, number in software.items())
            + f"; {platform.platform()}",
            "CUDA and cuDNN are the versions that TensorFlow was built for",
            software,
        ),
        Outcome(
            "devices",
            "CPU",
            "passed",
            f"{_processor()}, {usable_cores()} usable cores",
            numbers={"cores": usable_cores()},
        ),
    ]
    by_driver = _nvidia_smi("memory.total,driver_version")
    gpus = tf.config.list_physical_devices("GPU")
    # If fewer GPUs are visible than installed, their order in the driver's list is unknown.
    said = by_driver if len(by_driver) == len(gpus) else [""] * len(gpus)
    for number, (gpu, memory_and_driver) in enumerate(zip(gpus, said, strict=True)):
        details = tf.config.experimental.get_device_details(gpu)
        capability = ".".join(map(str, details.get("compute_capability", ()))) or "unknown"
        found.append(
            Outcome(
                "devices",
                f"gpu:{number}",
                "passed",
                f"{details.get('device_name', gpu.name)}, compute capability {capability}"
                + (f", memory and driver {memory_and_driver}" if memory_and_driver else ""),
                numbers={"compute_capability": capability},
            )
        )
    there = nvidia_gpus() or by_driver
    if not gpus and there:
        found.append(
            Outcome(
                "devices",
                "GPU",
                "failed",
                f"the machine has {', '.join(there)}; TensorFlow sees no GPU",
                "pip install 'mura-run[gpu]' installs the CUDA libraries; the driver must support"
                f" CUDA {software['CUDA']} or later. log.txt names the library that wasn't found",
            )
        )
    elif not gpus:
        found.append(
            Outcome(
                "devices",
                "GPU",
                "not applicable",
                reason="there is no NVIDIA GPU, and TensorFlow sees no other; GPUs weren't checked",
            )
        )
    return found


def look_at_memory_limit(job: Job, setting: Setting) -> list[Outcome]:
    """Return the outcome for the GPU memory limit that `mura-run` asks for before it trains.

    Parameters
    ----------
    job : Job
        Not used.
    setting : Setting
        The devices.
    """
    limit = gpu_memory(strategy_on(setting.devices)) or 0
    installed = _installed_bytes()
    share = limit / installed if installed else float("nan")
    measured = f"{limit / 2**30:.1f} GiB of {installed / 2**30:.1f} GiB installed"
    numbers = {"limit": limit, "installed": installed}
    if not installed:
        return [
            Outcome(
                "memory", f"limit, {setting.called}", "not applicable", measured,
                "nvidia-smi doesn't report how much is installed", numbers,
            )
        ]  # fmt: skip
    passed = _LEAST_SHARE <= share <= 1
    reason = "" if passed else f"expected {_LEAST_SHARE:.0%} to 100%; does another program use it?"
    status: Status = "passed" if passed else "failed"
    return [Outcome("memory", f"limit, {setting.called}", status, measured, reason, numbers)]


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _nvidia_smi(query: str) -> list[str]:
    """Return one line per GPU that the driver knows; empty if nvidia-smi isn't installed."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _installed_bytes() -> int:
    [first, *_] = _nvidia_smi("memory.total") or ["0 MiB"]
    number = first.partition(" ")[0]
    return int(number) * 2**20 if number.isdecimal() else 0
