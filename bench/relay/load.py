"""The loads of one relay measurement: pgbench's select-only script, and one large COPY OUT.

Each returns plain numbers of one run; nothing here averages or compares.
"""

import os
import re
import subprocess
import time

from servers import find_program


def measured(command, env, server, postgres, folder, stdout=subprocess.PIPE):
    """Runs `command`; returns its output, and the seconds of wall and CPU time that it took."""
    proxy_before = server.cpu_seconds() if server else 0.0
    postgres_before = postgres.cpu_seconds()
    began = time.monotonic()
    child = subprocess.Popen(command, env=env, cwd=folder, stdout=stdout, stderr=subprocess.PIPE)
    out, err = child.communicate()
    wall = time.monotonic() - began
    if child.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {err.decode(errors='replace')}")
    if server:
        server.check()
    return (out or b"").decode(), {
        "wall_s": wall,
        "proxy_cpu_s": (server.cpu_seconds() - proxy_before) if server else None,
        "postgres_cpu_s": postgres.cpu_seconds() - postgres_before,
    }


def select_only(place, server, postgres, folder, mode, clients, seconds):
    """One bounded pgbench run. Latencies are pgbench's own log, in microseconds."""
    prefix = f"{folder}/latency"
    command = [
        find_program("pgbench"), "-n", "-S", "-M", mode, "-c", str(clients),
        "-j", str(min(clients, os.cpu_count() or 1)), "-T", str(seconds),
        "-l", f"--log-prefix={prefix}",
    ]
    out, row = measured(command, place.env(), server, postgres, folder)
    transactions = int(re.search(r"transactions actually processed: (\d+)", out).group(1))
    tps = float(re.search(r"tps = ([\d.]+)", out).group(1))
    latencies = []
    for name in os.listdir(folder):
        if name.startswith("latency."):
            with open(f"{folder}/{name}") as log:
                latencies += [int(line.split()[2]) for line in log]
            os.unlink(f"{folder}/{name}")
    latencies.sort()
    row.update(transactions=transactions, tps=tps, latencies_us=latencies)
    if row["proxy_cpu_s"] is not None:
        row["proxy_us_per_transaction"] = row["proxy_cpu_s"] / transactions * 1e6
    return row


def copy_out(place, server, postgres, folder, total_bytes):
    """COPY of a whole table to nowhere."""
    command = [find_program("psql"), "-Xqc", "COPY bulk TO STDOUT"]
    with open(os.devnull, "wb") as nowhere:
        _, row = measured(command, place.env(), server, postgres, folder, stdout=nowhere)
    row["bytes"] = total_bytes
    row["gb_per_s"] = total_bytes / row["wall_s"] / 1e9
    if row["proxy_cpu_s"] is not None:
        row["proxy_s_per_gb"] = row["proxy_cpu_s"] / total_bytes * 1e9
    return row


def fill(place, scale, bulk_mib):
    """Makes pgbench's tables and a table of `bulk_mib` MiB; returns what its COPY amounts to."""
    subprocess.run([find_program("pgbench"), "-i", "-q", "-s", str(scale)], env=place.env(),
                   check=True, capture_output=True)
    # A line of COPY is 1,024 bytes: numbers and text that compress about as real rows do.
    statement = f"""
        CREATE UNLOGGED TABLE bulk AS
        SELECT n, (SELECT string_agg(md5((n * 32 + i)::text), '-') FROM generate_series(1, 15) i)
               || repeat('.', 1024 - 15 * 33 - length(n::text) - 1) AS body
          FROM generate_series(1, {bulk_mib * 1024}) n"""
    psql = [find_program("psql"), "-Xqc"]
    subprocess.run([*psql, statement], env=place.env(), check=True)
    subprocess.run([*psql, "VACUUM ANALYZE"], env=place.env(), check=True)
    copy = subprocess.Popen([*psql, "COPY bulk TO STDOUT"], env=place.env(), stdout=subprocess.PIPE)
    total = 0
    while block := copy.stdout.read(1 << 20):
        total += len(block)
    copy.wait()
    return total
