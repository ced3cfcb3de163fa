"""A limit on a process's memory by a control group, as a container has it: what it touches, its page cache included.

systemd-run is not everywhere, and a limit on address space would count files that are only mapped; so the group is made by
hand, of version 2 or 1, which needs root. Where neither can be made nothing is limited and `how` says so: then the
process's own peak has to be looked at.
"""
import os

ROOTS = (("/sys/fs/cgroup", "memory.max", "version 2"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "version 1"))


class MemoryLimit:
    def __init__(self, n_bytes):
        self.folder, self.how = None, "no control group can be made here, so nothing was limited"
        for root, setting, version in ROOTS:
            folder = os.path.join(root, f"decklog-bench-{os.getpid()}")
            try:
                os.mkdir(folder)
                # Opened without O_CREAT: where version 1 is mounted the root of version 2 is a plain tmpfs.
                with os.fdopen(os.open(os.path.join(folder, setting), os.O_WRONLY), "w") as file:
                    file.write(str(n_bytes))
            except OSError:
                if os.path.isdir(folder):
                    os.rmdir(folder)
                continue
            self.folder, self.how = folder, f"a control group of {version} with {setting} = {n_bytes}"
            return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.folder:
            os.rmdir(self.folder)  # its processes have ended

    def prefix(self):
        """What stands before a command so that it runs inside; its process id stays that of the command."""
        return ["sh", "-c", 'echo $$ >"$0"/cgroup.procs && exec "$@"', self.folder] if self.folder else []

    def kills(self):
        """How many processes the kernel ended for want of memory."""
        for name in ("memory.events", "memory.oom_control"):
            path = os.path.join(self.folder or "", name)
            if self.folder and os.path.exists(path):
                return sum(int(line.split()[1]) for line in open(path) if line.startswith("oom_kill "))
        return 0
