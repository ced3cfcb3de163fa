"""Processor time, memory, bytes and page cache, as the kernel accounts for them."""
import os
import statistics
import subprocess
import threading
import time


def run(command, seconds=180, **options):
    """Runs a command to its end: {wall, cpu, peak, out}: seconds, seconds, MiB and its stdout. Failing is an error, and so is taking longer than `seconds`."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    alarm = threading.Timer(seconds, process.kill)
    alarm.start()
    out = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command[:4]))}: exit code {process.returncode}: {out[-500:]}")
    return {"wall": time.monotonic() - started, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024, "out": out}


def of_process(pid):
    """Processor seconds so far, and the most memory it has had at once, in MiB."""
    stat = open(f"/proc/{pid}/stat").read()
    fields = stat[stat.rfind(")") + 2:].split()
    peak = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024


def peak_so_far(pid):
    """The most memory that a process has had at once, in MiB; 0 if it has ended."""
    try:
        return of_process(pid)[1]
    except (OSError, StopIteration):
        return 0


def resident(pid):
    """The memory that a process has now, in MiB; 0 if it has ended."""
    try:
        return int(open(f"/proc/{pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0


def files_below(path):
    if os.path.isfile(path):
        return [path]
    return [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]


def size(path):
    """Bytes of a file, or of all files below a folder."""
    return sum(os.path.getsize(file) for file in files_below(path))


def forget(*paths):
    """Drops the files from the page cache, so that the next to read them reads the disk."""
    os.sync()
    for path in paths:
        for file in files_below(path):
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def median(values):
    return statistics.median(values)


def at_share(values, share):
    """The value that this share of all is not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
