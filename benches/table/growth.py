"""The same questions of a table that grows: the file's events, then five times as many (20 in soak), each copy with days,
auditIDs and pod names of its own."""
import datetime
import os
import re
import subprocess
import threading

import decklog_side
import measure

LETTERS = b"bcdfghjklmnpqrstvwxz2456789"
SUFFIX = re.compile(rb"-([bcdfghjklmnpqrstvwxz2456789]{10})-")
DAY = re.compile(rb"2026-11-\d\dT")


def write_copy(path, number, out):
    """Copy `number` of the file: earlier by so many weeks, with auditIDs and pod names that no other copy has."""
    turned = bytes.maketrans(LETTERS, LETTERS[number:] + LETTERS[:number])
    days = {}

    def earlier(found):
        day = found.group()
        if day not in days:
            moved = datetime.date.fromisoformat(day[:10].decode()) - datetime.timedelta(weeks=number)
            days[day] = moved.isoformat().encode() + b"T"
        return days[day]

    mark = b'"auditID":"%02x' % number
    for line in open(path, "rb"):
        line = SUFFIX.sub(lambda found: found.group().translate(turned), DAY.sub(earlier, line))
        at = line.find(b'"auditID":"')
        out.write(line[:at] + mark + line[at + len(mark):])


def import_copies(decklog, path, data, numbers):
    """Imports these copies through one pipe: {cpu, peak}. Two minutes a copy are enough on any machine; longer is an error."""
    process = subprocess.Popen([decklog, "import", "-", "--data-dir", data, "-q"], stdin=subprocess.PIPE)
    alarm = threading.Timer(120 * len(numbers), process.kill)
    alarm.start()
    try:
        for number in numbers:
            write_copy(path, number, process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        pass  # its exit code says more
    _, status, usage = os.wait4(process.pid, 0)
    alarm.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"import of copies: exit code {process.returncode}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}


def asked(decklog, data, constants):
    """Warm medians in ms of an id and an object, and the memory of the server that answered."""
    pod = constants["pod"]
    questions = {"auditID": f"auditID:{constants['audit_id']}", "object": f"resource:pods ns:{pod['namespace']} name:{pod['name']}"}
    figures = {}
    with decklog_side.Server(decklog, data) as server:
        for name, text in questions.items():
            figures[name] = measure.median([server.ask("filter", text)[0] for _ in range(7)][2:]) * 1e3
        figures["peak"] = server.usage()[1]
    return figures
