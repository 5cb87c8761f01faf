"""asyncpg: the held statements of ../README.md."""

import asyncio
import os
import ssl
from decimal import Decimal

import asyncpg
from asyncpg import InsufficientPrivilegeError

TLS = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
UPDATE = "UPDATE products SET price = $1 WHERE id = $2 RETURNING price /* {} */"
INSERT = "INSERT INTO products (sku, name, price) VALUES ($1, 'later', 1) RETURNING sku"


def ok(check):
    print("ok", check, flush=True)


def refused(error, words):
    assert words in str(error), error


async def update(c, word, price):
    return await c.fetchval(UPDATE.format(word), Decimal(price), 1)


async def main():
    c = await asyncpg.connect(ssl=TLS)
    notices = []
    c.add_log_listener(lambda _, message: notices.append(message.message))
    assert await update(c, "approve", "41.50") == Decimal("41.50")
    assert notices[0].startswith("narrows: waiting for approval apr_"), notices
    ok("approved")
    try:
        await update(c, "reject", "0")
        raise AssertionError("not rejected")
    except InsufficientPrivilegeError as error:
        refused(error, "not on a Friday")
    assert await c.fetchval("SELECT price FROM products WHERE id = 1") == Decimal("41.50")
    ok("rejected")
    told = 0
    while True:
        try:
            assert await c.fetchval(INSERT, "later-asyncpg") == "later-asyncpg"
            break
        except InsufficientPrivilegeError as error:
            refused(error, "waits as apr_")
            told += 1
    assert told > 0, "approved before it was told to come again"
    try:
        await c.fetchval(INSERT, "later-asyncpg")
        raise AssertionError("passes twice")
    except InsufficientPrivilegeError as error:
        refused(error, "waits as apr_")
    ok("came again")
    async with c.transaction():
        await c.execute("INSERT INTO intake VALUES (1, 'asyncpg')")
        assert await update(c, "approve", "42.50") == Decimal("42.50")
    try:
        async with c.transaction():
            await c.execute("INSERT INTO intake VALUES (2, 'asyncpg')")
            await update(c, "reject", "0")
        raise AssertionError("not rejected")
    except InsufficientPrivilegeError as error:
        refused(error, "not on a Friday")
    kept = await c.fetch("SELECT n FROM intake WHERE label = 'asyncpg'")
    assert [row[0] for row in kept] == [1], kept
    ok("in a transaction")
    # Binary rows behind a COPY that waits.
    done = await c.copy_records_to_table("intake", records=[(n, "copied") for n in range(2000)])
    assert done == "COPY 2000", done
    assert await c.fetchval("SELECT count(*) FROM intake WHERE label = 'copied'") == 2000
    ok("copied")
    # The time limit of the driver strikes while nobody decides: it cancels, and goes on.
    try:
        await c.fetchval(UPDATE.format("nobody"), Decimal(0), 1, timeout=1)
        raise AssertionError("nobody cancelled")
    except asyncio.TimeoutError:
        pass
    assert await c.fetchval("SELECT price FROM products WHERE id = 1") == Decimal("42.50")
    ok("given up")
    await c.close()


asyncio.run(main())
