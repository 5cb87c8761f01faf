"""asyncpg (own protocol code, binary throughout): the checks of ../README.md."""

import asyncio
import io
import os
import resource
import ssl

import asyncpg

REFUSED = os.environ.get("REFUSED_SQL")
TLS = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])


def connect():
    return asyncpg.connect(ssl=TLS)


def ok(check):
    print("ok", check, flush=True)


async def main():
    c = await connect()
    assert await c.fetchval("SELECT 1 + 1") == 2
    ok("connect")

    row = await c.fetchrow(
        "SELECT $1::int8, $2::text, $3::float8, $4::bool, $5::bytea, $6::numeric, $7::int4[], $8::uuid",
        2**40, "añb☎", 1.5, True, b"\0\xff'\\", 12, [1, None, 3], "00000000-0000-7000-8000-000000000001",
    )
    assert row[:5] == (2**40, "añb☎", 1.5, True, b"\0\xff'\\") and row[6] == [1, None, 3], row
    ok("binary and text")
    assert await c.fetchrow("SELECT $1::text, $2::int, NULL", None, None) == (None, None, None)
    ok("nulls")
    assert await c.fetchval("SELECT 'naïve ☎ 漢字 🦀'") == "naïve ☎ 漢字 🦀"
    ok("unicode")

    statement = await c.prepare("SELECT name, price FROM products WHERE id = $1")
    for n in range(500):
        assert await statement.fetchrow(n % 40 + 1) is not None
    ok("prepared")

    # executemany sends Bind and Execute for all rows, then one Sync.
    async with c.transaction():
        await c.execute("CREATE TEMP TABLE scratch (id int, label text) ON COMMIT DROP")
        await c.executemany("INSERT INTO scratch VALUES ($1, $2)", [(n, f"l{n}") for n in range(2000)])
        assert await c.fetchval("SELECT count(*) FROM scratch") == 2000
        ok("pipeline")
        source = io.BytesIO(b"".join(b"%d\tlabel %d\n" % (n, n) for n in range(10_000)))
        await c.copy_to_table("scratch", source=source, columns=["id", "label"])
        out = io.BytesIO()
        await c.copy_from_query("SELECT * FROM scratch ORDER BY id", output=out, format="csv")
        assert out.getvalue().count(b"\n") == 12_000
        ok("copy text")
        await c.copy_records_to_table("scratch", records=[(n, None) for n in range(5000)])
        assert await c.fetchval("SELECT count(*) FROM scratch WHERE label IS NULL") == 5000
        ok("copy binary")
        # A portal that is asked for 50 rows at a time.
        total = 0
        async for row in c.cursor("SELECT n FROM generate_series(1, 1000) n", prefetch=50):
            total += row[0]
        assert total == 500_500
        ok("server-side cursor")

    # 100 MB, by a portal.
    total = 0
    async with c.transaction():
        async for row in c.cursor(
            "SELECT repeat('x', 1000) FROM generate_series(1, 100000)", prefetch=2000
        ):
            total += len(row[0])
    assert total == 100_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 600_000
    ok("100 MB")

    large = "x" * (5 * 1024 * 1024)
    assert await c.fetchval("SELECT length($1::text)", large) == len(large)
    ok("large parameter")

    try:
        await c.fetch("SELECT * FROM nowhere")
        raise AssertionError("a table that is not there")
    except asyncpg.UndefinedTableError:
        pass
    assert await c.fetchval("SELECT 1") == 1
    ok("error outside a transaction")
    try:
        async with c.transaction():
            await c.fetch("SELECT 1/0")
    except asyncpg.DivisionByZeroError:
        pass
    assert await c.fetchval("SELECT 1") == 1
    ok("error in a transaction")

    notices = []
    c.add_log_listener(lambda _, message: notices.append(message.message))
    for _ in range(2):
        await c.execute("CREATE TEMP TABLE IF NOT EXISTS twice (id int)")
    await asyncio.sleep(0)
    assert notices == ['relation "twice" already exists, skipping'], notices
    ok("notice")

    for n in range(1000):
        assert await c.fetchval(f"SELECT {n}") == n
    ok("many statements")

    # asyncpg cancels by a CancelRequest when a time limit strikes.
    try:
        await c.fetch("SELECT pg_sleep(30)", timeout=0.3)
        raise AssertionError("nobody cancelled")
    except asyncio.TimeoutError:
        pass
    assert await c.fetchval("SELECT 1") == 1
    ok("cancel")

    other = await connect()
    heard = asyncio.get_running_loop().create_future()
    channel = f"channel_{os.getpid()}"
    await c.add_listener(channel, lambda _, pid, name, payload: heard.set_result((pid, payload)))
    await other.execute(f"NOTIFY {channel}, 'ping'")
    assert await asyncio.wait_for(heard, 10) == (other.get_server_pid(), "ping")
    ok("listen and notify")
    await other.close()

    pool = await asyncpg.create_pool(ssl=TLS, min_size=10, max_size=10)
    values = await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(500)))
    assert values == list(range(500))
    await pool.close()
    ok("ten connections")

    if REFUSED:
        for _ in range(2):
            try:
                await c.execute(REFUSED)
                raise AssertionError("not refused")
            except asyncpg.InsufficientPrivilegeError:
                pass
            try:
                # With Flush before Sync: the answer must not wait for the Sync.
                await asyncio.wait_for(c.prepare(REFUSED), 10)
                raise AssertionError("not refused")
            except asyncpg.InsufficientPrivilegeError:
                pass
            assert await c.fetchval("SELECT 1") == 1
        try:
            async with c.transaction():
                await c.execute("CREATE TEMP TABLE kept (id int)")
                try:
                    await c.fetch(REFUSED)
                except asyncpg.InsufficientPrivilegeError:
                    pass
                await c.fetch("SELECT 1")
            raise AssertionError("a failed transaction goes on")
        except asyncpg.InFailedSQLTransactionError:
            pass
        assert await c.fetchval("SELECT to_regclass('kept')") is None
        ok("refused")
    await c.close()


asyncio.run(main())
