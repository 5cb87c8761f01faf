"""The loads of one relay measurement: scripts of pgbench, and COPY OUT of large tables.

Each run returns plain numbers; nothing here averages or compares.
"""

import os
import re
import subprocess
import time
from dataclasses import dataclass

from servers import find_program

# Rows of each of the two tables that pages are read from.
ROWS = 400_000
# Both have a number and five texts a row. What `customers` has, masks protect or detectors find; in
# `articles` there is nothing to find.
CUSTOMERS = f"""
    CREATE UNLOGGED TABLE customers AS
    SELECT n AS id, 'Ada Lovelace ' || n AS name, 'ada.' || n || '@mail.example.com' AS email,
           '+43660' || lpad(n::text, 7, '0') AS phone, 'Wien' AS city,
           'wrote from a' || n || '@work.example.org and asked to be called back soon' AS note
      FROM generate_series(1, {ROWS}) n;
    ALTER TABLE customers ADD PRIMARY KEY (id)"""
ARTICLES = f"""
    CREATE UNLOGGED TABLE articles AS
    SELECT n AS id, 'Analytical engine ' || n AS name, 'brass, ' || n || ' wheels' AS body,
           'AE-' || lpad(n::text, 9, '0') AS number, 'grey' AS colour,
           'shipped in ' || n % 90 || ' crates by rail, to be put together at the place of use' AS note
      FROM generate_series(1, {ROWS}) n;
    ALTER TABLE articles ADD PRIMARY KEY (id)"""


@dataclass(frozen=True)
class Transactions:
    """Bounded runs of pgbench. Latencies are pgbench's own log, in microseconds."""

    name: str
    # None is pgbench's own select-only script.
    statement: str | None
    mode: str
    clients: int

    @property
    def title(self):
        plural = "s" if self.clients > 1 else ""
        return f"{self.name}, {self.mode} protocol, {self.clients} client{plural}"

    def run(self, stand, server, place, postgres, seconds):
        folder = stand.folder
        what = ["-S"]
        if self.statement:
            # The last page is a whole one.
            script = folder / "page.sql"
            script.write_text(f"\\set id random(1, {ROWS - 9})\n{self.statement};\n")
            what = ["-f", script]
        command = [
            find_program("pgbench"), "-n", *what, "-M", self.mode, "-c", str(self.clients),
            "-j", str(min(self.clients, os.cpu_count() or 1)), "-T", str(seconds),
            "-l", f"--log-prefix={folder}/latency",
        ]
        out, row = measured(command, place.env(), server, postgres, folder)
        transactions = int(re.search(r"transactions actually processed: (\d+)", out).group(1))
        tps = float(re.search(r"tps = ([\d.]+)", out).group(1))
        row.update(transactions=transactions, tps=tps, latencies_us=latencies(folder))
        if row["proxy_cpu_s"] is not None:
            row["proxy_us_per_transaction"] = row["proxy_cpu_s"] / transactions * 1e6
        return row


@dataclass(frozen=True)
class Copy:
    """COPY of a whole table to nowhere; `size` is what it amounts to, unmasked."""

    name: str
    size: int

    @property
    def title(self):
        return f"COPY OUT of {self.name}, {self.size / 1e6:.0f} MB, one client"

    def run(self, stand, server, place, postgres, _seconds):
        command = [find_program("psql"), "-Xqc", f"COPY {self.name} TO STDOUT"]
        with open(os.devnull, "wb") as nowhere:
            _, row = measured(command, place.env(), server, postgres, stand.folder, stdout=nowhere)
        row["gb_per_s"] = self.size / row["wall_s"] / 1e9
        if row["proxy_cpu_s"] is not None:
            row["proxy_s_per_gb"] = row["proxy_cpu_s"] / self.size * 1e9
        return row


def page(table):
    """Ten rows of six columns."""
    return f"SELECT * FROM {table} WHERE id BETWEEN :id AND :id + 9"


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


def latencies(folder):
    """All of the logs that a run left, which are removed."""
    taken = []
    for name in os.listdir(folder):
        if name.startswith("latency."):
            with open(f"{folder}/{name}") as log:
                taken += [int(line.split()[2]) for line in log]
            os.unlink(f"{folder}/{name}")
    return sorted(taken)


def fill(place, scale, bulk_mib):
    """Makes all tables; returns what a COPY of each large one amounts to."""
    subprocess.run([find_program("pgbench"), "-i", "-q", "-s", str(scale)], env=place.env(),
                   check=True, capture_output=True)
    # A line of COPY is 1,024 bytes: numbers and text that compress about as real rows do.
    bulk = f"""
        CREATE UNLOGGED TABLE bulk AS
        SELECT n, (SELECT string_agg(md5((n * 32 + i)::text), '-') FROM generate_series(1, 15) i)
               || repeat('.', 1024 - 15 * 33 - length(n::text) - 1) AS body
          FROM generate_series(1, {bulk_mib * 1024}) n"""
    psql = [find_program("psql"), "-Xqc"]
    for statement in (bulk, CUSTOMERS, ARTICLES, "VACUUM ANALYZE"):
        subprocess.run([*psql, statement], env=place.env(), check=True)
    return {table: size_of_copy(place, table) for table in ("bulk", "customers", "articles")}


def size_of_copy(place, table):
    command = [find_program("psql"), "-Xqc", f"COPY {table} TO STDOUT"]
    with subprocess.Popen(command, env=place.env(), stdout=subprocess.PIPE) as copy:
        total = 0
        while block := copy.stdout.read(1 << 20):
            total += len(block)
    return total


def shows_a_value(place):
    """True if a bot sees what masks are to hide."""
    command = [find_program("psql"), "-XqAtc", "SELECT email FROM customers WHERE id = 1"]
    shown = subprocess.run(command, env=place.env(), check=True, capture_output=True, text=True)
    return "ada.1@" in shown.stdout
