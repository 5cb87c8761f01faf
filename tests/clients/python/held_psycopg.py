"""psycopg 3 (libpq), blocking and asynchronous: the held statements of ../README.md."""

import asyncio

import psycopg
from psycopg.errors import InsufficientPrivilege

UPDATE = "UPDATE products SET price = %s WHERE id = %s RETURNING price::text /* {} */"
INSERT = "INSERT INTO products (sku, name, price) VALUES (%s, 'later', 1) RETURNING sku"


def ok(check):
    print("ok", check, flush=True)


def refused(error, words):
    assert words in str(error), error


def blocking():
    notices = []
    with psycopg.connect(sslmode="verify-full", autocommit=True) as c:
        c.add_notice_handler(lambda diag: notices.append(diag.message_primary))
        assert c.execute(UPDATE.format("approve"), ("41.50", 1)).fetchone() == ("41.50",)
        assert notices[0].startswith("narrows: waiting for approval apr_"), notices
        ok("approved")
        try:
            c.execute(UPDATE.format("reject"), ("0", 1))
            raise AssertionError("not rejected")
        except InsufficientPrivilege as error:
            refused(error, "not on a Friday")
        assert c.execute("SELECT price::text FROM products WHERE id = 1").fetchone() == ("41.50",)
        ok("rejected")
        told = 0
        while True:
            try:
                assert c.execute(INSERT, ("later-psycopg",)).fetchone() == ("later-psycopg",)
                break
            except InsufficientPrivilege as error:
                refused(error, "waits as apr_")
                told += 1
        assert told > 0, "approved before it was told to come again"
        try:
            c.execute(INSERT, ("later-psycopg",))
            raise AssertionError("passes twice")
        except InsufficientPrivilege as error:
            refused(error, "waits as apr_")
        ok("came again")
    with psycopg.connect(sslmode="verify-full") as c:
        c.execute("INSERT INTO intake VALUES (1, 'psycopg')")
        assert c.execute(UPDATE.format("approve"), ("42.50", 1)).fetchone() == ("42.50",)
        c.commit()
        c.execute("INSERT INTO intake VALUES (2, 'psycopg')")
        try:
            c.execute(UPDATE.format("reject"), ("0", 1))
            raise AssertionError("not rejected")
        except InsufficientPrivilege as error:
            refused(error, "not on a Friday")
        try:
            c.execute("SELECT 1")
            raise AssertionError("a failed transaction goes on")
        except psycopg.errors.InFailedSqlTransaction:
            c.rollback()
        kept = c.execute("SELECT n FROM intake WHERE label = 'psycopg'").fetchall()
        assert kept == [(1,)], kept
        ok("in a transaction")
        with c.cursor().copy("COPY intake FROM STDIN") as copy:
            for n in range(2000):
                copy.write_row((n, "copied"))
        c.commit()
        assert c.execute("SELECT count(*) FROM intake WHERE label = 'copied'").fetchone() == (2000,)
        ok("copied")
        with c.pipeline():
            before = c.execute("SELECT 1")
            waits = c.execute(UPDATE.format("approve"), ("43.50", 1))
            after = c.execute("SELECT 2")
        c.commit()
        assert [one.fetchone()[0] for one in (before, waits, after)] == [1, "43.50", 2]
        ok("in a pipeline")


async def asynchronous():
    c = await psycopg.AsyncConnection.connect(sslmode="verify-full", autocommit=True)
    notices = []
    c.add_notice_handler(lambda diag: notices.append(diag.message_primary))
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    done = await c.execute(UPDATE.format("approve"), ("44.50", 1))
    assert await done.fetchone() == ("44.50",)
    assert notices[0].startswith("narrows: waiting for approval apr_"), notices
    assert ticks > 0, "the loop stood still"
    ticking.cancel()
    try:
        await c.execute(UPDATE.format("reject"), ("0", 1))
        raise AssertionError("not rejected")
    except InsufficientPrivilege as error:
        refused(error, "not on a Friday")
    done = await c.execute("SELECT price::text FROM products WHERE id = 1")
    assert await done.fetchone() == ("44.50",)
    await c.close()
    ok("asynchronous")


blocking()
asyncio.run(asynchronous())
