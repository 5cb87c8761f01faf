"""psycopg 3 (libpq): the checks of ../README.md."""

import os
import resource
import sys
import threading
import time

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

REFUSED = os.environ.get("REFUSED_SQL")


def connect(**kw):
    # Everything else comes from libpq's variables.
    return psycopg.connect(sslmode="verify-full", **kw)


def ok(check):
    print("ok", check, flush=True)


def main():
    with connect(autocommit=True) as c:
        assert c.execute("SELECT 1 + 1").fetchone() == (2,)
        assert c.info.parameter_status("server_version")
        ok("connect")

        for binary in (False, True):
            cur = c.cursor(binary=binary)
            row = cur.execute(
                "SELECT %s::int8, %s::text, %s::float8, %s::bool, %s::jsonb, %s::bytea, %s::date, %b::int4",
                (2**40, "añb☎", 1.5, True, Jsonb({"a": [1, None]}), b"\0\xff'\\", "2024-02-29", 7),
            ).fetchone()
            assert row[:6] == (2**40, "añb☎", 1.5, True, {"a": [1, None]}, b"\0\xff'\\"), row
            assert str(row[6]) == "2024-02-29" and row[7] == 7, row
        ok("binary and text")

        assert c.execute("SELECT %s::text, %s::int, NULL", (None, None)).fetchone() == (None,) * 3
        ok("nulls")
        assert c.execute("SELECT 'naïve ☎ 漢字 🦀'").fetchone() == ("naïve ☎ 漢字 🦀",)
        ok("unicode")

        for n in range(200):
            row = c.execute("SELECT name FROM products WHERE id = %s", (n % 40 + 1,), prepare=True).fetchone()
            assert row is not None
        assert c.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0] >= 1
        ok("prepared")

        with c.pipeline():
            cursors = [c.execute("SELECT %s::int * 2", (n,)) for n in range(100)]
        assert [cur.fetchone()[0] for cur in cursors] == [2 * n for n in range(100)]
        ok("pipeline")
        try:
            with c.pipeline() as p:
                a = c.execute("SELECT 1")
                p.sync()
                c.execute("SELECT 1/0")
                b = c.execute("SELECT 2")
                p.sync()
                d = c.execute("SELECT 3")
            raise AssertionError("a pipeline with an error in it passes")
        except psycopg.errors.DivisionByZero:
            pass
        assert a.fetchone() == (1,)
        assert c.execute("SELECT 4").fetchone() == (4,)
        ok("error in pipeline")

        large = "x" * (5 * 1024 * 1024)
        assert c.execute("SELECT length(%s), md5(%s) = md5(%s)", (large, large, large)).fetchone() == (len(large), True)
        ok("large parameter")

        try:
            c.execute("SELECT * FROM nowhere")
            raise AssertionError("a table that is not there")
        except psycopg.errors.UndefinedTable:
            pass
        assert c.execute("SELECT 1").fetchone() == (1,)
        ok("error outside a transaction")

        notices = []
        c.add_notice_handler(lambda diag: notices.append(diag.message_primary))
        for _ in range(2):
            c.execute("CREATE TEMP TABLE IF NOT EXISTS twice (id int)")
        assert notices == ['relation "twice" already exists, skipping'], notices
        ok("notice")

        for n in range(2000):
            assert c.execute("SELECT %s::int", (n,)).fetchone() == (n,)
        ok("many statements")

    with connect() as c:
        c.execute("CREATE TEMP TABLE scratch (id int, label text) ON COMMIT DROP")
        with c.cursor().copy("COPY scratch FROM STDIN") as copy:
            for n in range(10_000):
                copy.write_row((n, f"label\t{n}\n\\"))
        with c.cursor().copy("COPY scratch TO STDOUT") as copy:
            rows = list(copy.rows())
        assert len(rows) == 10_000 and rows[7] == ("7", "label\t7\n\\"), rows[7]
        ok("copy text")
        c.execute("DELETE FROM scratch WHERE id >= 0")
        with c.cursor().copy("COPY scratch FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            for n in range(1000):
                copy.write_row((n, None if n % 2 else "even"))
        assert c.execute("SELECT count(*), count(label) FROM scratch").fetchone() == (1000, 500)
        ok("copy binary")
        try:
            with c.cursor().copy("COPY scratch FROM STDIN") as copy:
                copy.write(b"not a number\tx\n")
        except psycopg.errors.InvalidTextRepresentation:
            pass
        else:
            raise AssertionError("COPY takes a word for a number")
        try:
            c.execute("SELECT 1")
            raise AssertionError("a failed transaction goes on")
        except psycopg.errors.InFailedSqlTransaction:
            pass
        c.rollback()
        assert c.execute("SELECT 1").fetchone() == (1,)
        c.rollback()
        ok("error in a transaction")

        with c.cursor("shelf") as cur:
            cur.itersize = 100
            cur.execute("SELECT n, n::text FROM generate_series(1, 1000) n")
            assert sum(row[0] for row in cur) == 500_500
        c.rollback()
        ok("server-side cursor")

        cur = c.cursor()
        total = 0
        for row in cur.stream("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"):
            total += len(row[0])
        assert total == 100_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 600_000
        c.rollback()
        ok("100 MB")

    listen_notify()
    cancel()
    pool()
    refused()


def listen_notify():
    channel = f"channel_{os.getpid()}"
    with connect(autocommit=True) as a, connect(autocommit=True) as b:
        a.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        b.execute("SELECT pg_notify(%s, 'ping')", (channel,))
        got = next(a.notifies(timeout=10))
        assert (got.channel, got.payload, got.pid) == (channel, "ping", b.info.backend_pid)
    ok("listen and notify")


def cancel():
    with connect(autocommit=True) as c:
        for cancel in (c.cancel, lambda: c.cancel_safe(timeout=10)):
            timer = threading.Timer(0.3, cancel)
            timer.start()
            started = time.monotonic()
            try:
                c.execute("SELECT pg_sleep(30)")
                raise AssertionError("nobody cancelled")
            except psycopg.errors.QueryCanceled:
                pass
            timer.join()
            assert time.monotonic() - started < 10
            assert c.execute("SELECT 1").fetchone() == (1,)
    ok("cancel")


def pool():
    connections = [connect(autocommit=True) for _ in range(10)]
    failures = []

    def work(c, me):
        try:
            for n in range(50):
                assert c.execute("SELECT %s::int, %s::int", (me, n)).fetchone() == (me, n)
        except Exception as error:  # reported by the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(c, n)) for n, c in enumerate(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    for c in connections:
        c.close()
    ok("ten connections")


def refused():
    if not REFUSED:
        return
    with connect(autocommit=True) as c:
        for _ in range(2):
            try:
                c.execute(REFUSED)
                raise AssertionError("not refused")
            except psycopg.errors.InsufficientPrivilege as error:
                assert error.diag.message_hint, "a hint"
            assert c.execute("SELECT 1").fetchone() == (1,)
    with connect() as c:
        c.execute("CREATE TEMP TABLE kept (id int)")
        try:
            c.execute(REFUSED)
            raise AssertionError("not refused")
        except psycopg.errors.InsufficientPrivilege:
            pass
        assert c.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        c.rollback()
        assert c.execute("SELECT to_regclass('kept')").fetchone() == (None,)
        try:
            with c.pipeline():
                c.execute("CREATE TEMP TABLE kept (id int)")
                c.execute(REFUSED)
                c.execute("SELECT 1")
            raise AssertionError("not refused")
        except psycopg.errors.InsufficientPrivilege:
            pass
        c.rollback()
        assert c.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    ok("refused")


if __name__ == "__main__":
    sys.exit(main())
