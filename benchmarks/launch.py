"""Run a command; print its wall and processor time in seconds and its peak memory in bytes as JSON.

    python launch.py LOG COMMAND...

A process of its own, because a child starts with the peak memory of the process that starts it: this one is small.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Run the command with its output in the file LOG."""
    log, *command = sys.argv[1:]
    with Path(log).open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    busy = usage.ru_utime + usage.ru_stime
    answer = {"seconds": seconds, "busy": busy, "peak": peak, "status": os.waitstatus_to_exitcode(status)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
