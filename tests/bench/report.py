"""Figures for people and for programs: rows are collected, printed as an aligned table, and given to --json whole."""
import json
import os
import platform
import statistics
from pathlib import Path


def median(values):
    return statistics.median(values) if values else float("nan")


def number(value):
    """Three digits that say something: 0.123, 1.23, 12.3, 123, 12,345."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def table(head, rows):
    """Lines of an aligned table; the first column is text, the others are figures and stand to the right."""
    cells = [[str(c) for c in head]] + [[number(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        lines.append("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))))
    lines.insert(1, "-" * len(lines[0]))
    return lines


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": cpu, "cpus": os.cpu_count(), "memory_gib": round(memory, 1), "kernel": platform.release(),
            "load_before": os.getloadavg()[0]}


def machine_line():
    m = machine()
    return (f"{m['cpus']} x {m['cpu']}, {m['memory_gib']} GiB, Linux {m['kernel']}, load average {m['load_before']:.2f} "
            f"before the run (what else runs here makes figures worse)")


def write_json(path, data):
    Path(path).write_text(json.dumps({"machine": machine(), **data}, indent=1) + "\n")
