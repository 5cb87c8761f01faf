"""Medians, percentiles and tables over the rows of one relay measurement."""

import os
import platform
import statistics
from pathlib import Path


def percentile(ordered, share):
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summary(rows):
    """Rows of one cell (same load and column, all rounds) as one."""
    pooled = sorted(us for row in rows for us in row.get("latencies_us", ()))
    cell = {}
    for key in ("tps", "proxy_us_per_transaction", "gb_per_s", "proxy_s_per_gb"):
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            cell[key] = statistics.median(values)
            cell[key + "_range"] = [min(values), max(values)]
    for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)):
        cell[name] = percentile(pooled, share)
    return cell


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def table(heading, lines):
    """Aligned columns; the first is text, the others are right-justified."""
    widths = [max(len(str(line[i])) for line in [heading, *lines]) for i in range(len(heading))]
    for line in [heading, *lines]:
        cells = [str(line[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())
    print()


def print_transactions(title, cells, peer):
    print(title)
    base = cells.get(peer, {}).get("proxy_us_per_transaction")
    lines = []
    for column, cell in cells.items():
        cpu = cell.get("proxy_us_per_transaction")
        spread = cell.get("proxy_us_per_transaction_range")
        lines.append([
            column, number(cell.get("tps"), 0), number(cpu, 1),
            "-" if spread is None else f"{spread[0]:.1f}..{spread[1]:.1f}",
            number(cpu / base if cpu is not None and base else None, 2),
            number(cell["p50_us"], 0), number(cell["p99_us"], 0), number(cell["p999_us"], 0),
        ])
    table(["", "tps", "CPU us/txn", "range", "vs PgBouncer", "p50 us", "p99 us", "p99.9 us"], lines)


def print_copy(title, cells, peer):
    print(title)
    base = cells.get(peer, {}).get("proxy_s_per_gb")
    lines = []
    for column, cell in cells.items():
        cpu = cell.get("proxy_s_per_gb")
        lines.append([
            column, number(cell.get("gb_per_s"), 3), number(cpu, 2),
            number(cpu / base if cpu is not None and base else None, 2),
        ])
    table(["", "GB/s", "CPU s/GB", "vs PgBouncer"], lines)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "load": list(os.getloadavg())}
