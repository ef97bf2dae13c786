"""One row in a process of its own: it waits, and times as many calls as it is told.

Peers' libraries then do not disturb each other, and memory is the row's own.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> None:
    name = sys.argv[1]
    # The pipe is kept for answers: libraries print what they like.
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)

    def answer(content: Any) -> None:
        answers.write(json.dumps(content) + '\n')

    from rows import ROWS, set_threads, timed

    row = ROWS[name]
    set_threads(row.threads)
    try:
        call = row.make()
        for _ in range(10):
            call()
    except ImportError as error:
        return answer({'missing': error.name or str(error)})
    except Exception as error:  # a row that fails must not end the others
        return answer({'missing': f'{type(error).__name__}: {error}'.splitlines()[0]})
    answer({'memory': _resident()})
    for line in sys.stdin:
        answer([timed(call) for _ in range(int(line))])


def _resident() -> float:
    """Return this process's memory in MiB."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 2**20


if __name__ == '__main__':
    main()
    sys.stdout.flush()
    os._exit(0)  # nodes and sessions have threads that nobody needs to wait for
