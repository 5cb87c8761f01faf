"""Reads masked columns of every type by asyncpg (binary) and psycopg (text, then binary).

For each schema `as_STRATEGY` with a table `kinds` the gateway's answers are held against the server's
own, which DIRECT_PORT, DIRECT_USER and DIRECT_PASSWORD lead to."""

import asyncio
import math
import os
import ssl

import asyncpg
import psycopg

TLS = ssl.create_default_context(cafile=os.environ["PGSSLROOTCERT"])
ALWAYS_NULL = os.environ["ALWAYS_NULL"].split(",")
TELLING = os.environ["TELLING"].split(",")
COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 1 ORDER BY attnum
"""


def ok(check):
    print("ok", check, flush=True)


def spelled(name):
    names = {"character varying": "varchar", "character(20)": "char(20)", "integer": "int4", "bigint": "int8"}
    return name.replace("character varying(30)", "varchar(30)") if name not in names else names[name]


async def main():
    bot = await asyncpg.connect(ssl=TLS)
    server = await asyncpg.connect(
        ssl=TLS,
        port=int(os.environ["DIRECT_PORT"]),
        user=os.environ["DIRECT_USER"],
        password=os.environ["DIRECT_PASSWORD"],
    )
    schemas = await server.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'as\\_%' ORDER BY 1")
    for schema in [row[0] for row in schemas]:
        sql = f"SELECT * FROM {schema}.kinds ORDER BY n"
        masked, true = await bot.fetch(sql), await server.fetch(sql)
        types = {row[0]: spelled(row[1]) for row in await server.fetch(COLUMNS, f"{schema}.kinds")}
        for n, (row, values) in enumerate(zip(masked, true, strict=True)):
            assert row["n"] == n + 1, row["n"]
            for column, name in types.items():
                at = f"{schema} {name} row {n}: {row[column]!r} for {values[column]!r}"
                nothing = values[column] is None or schema == "as_null" or name in ALWAYS_NULL
                assert (row[column] is None) == nothing, at
                assert nothing or values[column] == "" or row[column] != values[column], at
        keyed = schema in ("as_hash", "as_pseudonym")
        for column, name in types.items():
            assert masked[0][column] == masked[2][column], f"{schema} {name}"
            if keyed and name in TELLING:
                assert masked[0][column] != masked[1][column], f"{schema} {name}"
        ok(f"asyncpg {schema}")

        wholes = [row[0] for row in await bot.fetch(f"SELECT w FROM {schema}.whole w")]
        parts = await bot.fetch(f"SELECT * FROM {schema}.whole")
        for whole, part in zip(wholes, parts, strict=True):
            for column, value in part.items():
                assert whole[column] == value, f"{schema} {types[column]}: {whole[column]!r} {value!r}"
        ok(f"asyncpg {schema} whole rows")

        through_psycopg(schema, types, true)
        ok(f"psycopg {schema}")


def through_psycopg(schema, types, true):
    known = set(map(str, TELLING)) & {"text", "varchar(30)", "bytea", "int4", "int8", "numeric", "uuid", "inet"}
    with psycopg.connect() as connection:
        found = []
        for binary in (False, True):
            with connection.cursor(binary=binary) as cursor:
                rows = cursor.execute(f"SELECT * FROM {schema}.kinds ORDER BY n").fetchall()
                wholes = cursor.execute(f"SELECT k FROM {schema}.kinds k ORDER BY n").fetchall()
                assert len(rows) == len(wholes) == 4
                found.append(rows)
        for text, binary, values in zip(*found, true, strict=True):
            for at, (column, name) in enumerate(types.items(), start=1):
                if name in known:
                    assert text[at] == binary[at], f"{schema} {name}: {text[at]!r} {binary[at]!r}"
                    if text[at] is not None:
                        assert text[at] != values[column], f"{schema} {name}: {text[at]!r}"
                if isinstance(text[at], float):
                    assert not math.isnan(text[at])


asyncio.run(main())
