"""The peak memory of a program that a test starts."""

# Not ru_maxrss, which a child inherits from the process that forked it: from a large test process
# every child would seem as large, and none would seem to grow.
PEAK_KIBIBYTES = """
def peak_kibibytes():
    with open("/proc/self/status") as status:
        [line] = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1])
"""
