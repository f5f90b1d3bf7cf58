"""How things are measured and printed: whole processes in alternating runs, their peak memory, tables."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

RUNS = int(os.environ.get("KEYANCHOR_BENCH_RUNS", "40"))


def first_existing(*patterns):
    for pattern in patterns:
        for path in sorted(pathlib.Path("/").glob(pattern.lstrip("/"))):
            return str(path)
    sys.exit(f"bench: none of {', '.join(patterns)} is there; run scripts/setup")


def run(*command, env=None, **more):
    """Runs a command that must succeed; its output is returned."""
    done = subprocess.run([str(word) for word in command], env=env, capture_output=True, **more)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr.decode()}")
    return done.stdout.decode()


def spawn(command, env):
    """Milliseconds from the spawn to the end of one process; its output is thrown away."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1)]
    program = shutil.which(command[0])
    began = time.perf_counter_ns()
    child = os.posix_spawn(program, command, env, file_actions=actions)
    _, status = os.waitpid(child, 0)
    took = (time.perf_counter_ns() - began) / 1e6
    os.close(null)
    return took, os.waitstatus_to_exitcode(status)


def times(cases, runs=RUNS):
    """Medians of alternating runs: {name: (command, env)} to {name: milliseconds}."""
    taken = {name: [] for name in cases}
    for turn in range(runs + 2):
        for name, (command, env) in cases.items():
            took, code = spawn(command, env or dict(os.environ))
            if code != 0:
                sys.exit(f"bench: {name} ended with {code}: {' '.join(command)}")
            if turn >= 2:
                taken[name].append(took)
    return {name: statistics.median(values) for name, values in taken.items()}


def peak_mib(command, env=None):
    """Largest resident set of one run, by GNU time, whose own size does not count."""
    report = subprocess.run(["/usr/bin/time", "-f", "%M", *command], env=env, capture_output=True, text=True)
    return int(report.stderr.strip().splitlines()[-1]) / 1024


def table(title, rows):
    print(f"\n{title}\n")
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
