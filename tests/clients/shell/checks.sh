#!/bin/bash
# psql, pg_dump and pgbench: the checks of ../README.md. The database holds pgbench's tables too.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

. "$(dirname "$0")/words.sh"
sql() { psql -XAtq "$@"; }

is "$(sql -c 'SELECT 1 + 1')" 2
ok connect
is "$(sql -c "SELECT 'naïve ☎ 漢字 🦀', NULL")" 'naïve ☎ 漢字 🦀|'
ok unicode

is "$(printf 'SELECT 1 \\; SELECT 2 \\; SELECT 3;\n' | sql | tr '\n' ' ')" '1 2 3 '
ok 'several statements in one message'

out=$(printf "SELECT * FROM nowhere;\nSELECT 'alive';\nSELECT 1/0;\nSELECT 'still';\n" | sql 2>&1)
has "$out" alive
has "$out" still
ok 'error outside a transaction'
out=$(printf "BEGIN;\nSELECT 1/0;\nSELECT 1;\nCOMMIT;\nSELECT 'after';\n" | sql 2>&1)
has "$out" 'current transaction is aborted'
has "$out" after
ok 'error in a transaction'
out=$(printf 'CREATE TEMP TABLE t (i int);\nCREATE TEMP TABLE IF NOT EXISTS t (i int);\n' | sql 2>&1)
has "$out" 'already exists, skipping'
ok notice

seq 1 10000 >"$folder/numbers"
out=$(sql <<SQL
CREATE TEMP TABLE numbers (n int);
\\copy numbers FROM '$folder/numbers'
\\copy (SELECT n * 2 FROM numbers ORDER BY n) TO '$folder/doubled' CSV
SELECT count(*), sum(n) FROM numbers;
SQL
)
is "$out" '10000|50005000'
is "$(tail -n 1 "$folder/doubled")" 20000
ok 'copy text'

is "$(sql -v FETCH_COUNT=100 -c 'SELECT n FROM generate_series(1, 1000) n' | wc -l)" 1000
ok 'server-side cursor'
has "$(printf 'SELECT 1 AS one, now() AS two \\gdesc\n' | sql)" 'two|timestamp with time zone'
has "$(sql -c '\d orders')" 'customer_id|integer'
ok describe
is "$(sql -c "SELECT repeat('x', 1000) FROM generate_series(1, 100000)" | wc -c)" 100100000
ok '100 MB'

# psql sends a CancelRequest when it is interrupted.
timeout --signal=INT 0.5 psql -XAtqc 'SELECT pg_sleep(30)' >"$folder/cancel" 2>&1 && fail 'nobody cancelled'
has "$(cat "$folder/cancel")" 'canceling statement'
ok cancel

out=$(printf "LISTEN shell_%s;\nNOTIFY shell_%s, 'ping';\n" $$ $$ | sql)
has "$out" 'with payload "ping"'
ok 'listen and notify'

server=$(sql -c 'SHOW server_version_num')
tool=$(pg_dump --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
if [ $((server / 10000)) -le "$tool" ]; then
    pg_dump >"$folder/dump.sql"
    is "$(sed -n '/^COPY public.customers /,/^\\\.$/p' "$folder/dump.sql" | wc -l)" 202
    has "$(cat "$folder/dump.sql")" 'PostgreSQL database dump complete'
    pg_dump --inserts --table=products >"$folder/inserts.sql"
    is "$(grep -c '^INSERT' "$folder/inserts.sql")" 40
    ok pg_dump
fi

before=$(sql -c 'SELECT count(*) FROM pgbench_history')
for mode in simple extended prepared; do
    pgbench -n -c 4 -j 2 -t 50 -M $mode >"$folder/pgbench" 2>&1 || fail "pgbench $(cat "$folder/pgbench")"
    has "$(cat "$folder/pgbench")" '200/200'
    ok "pgbench $mode"
done
is "$(sql -c 'SELECT count(*) FROM pgbench_history')" $((before + 600))
cat >"$folder/pipeline.sql" <<'SQL'
\set id random(1, 40)
\startpipeline
SELECT name FROM products WHERE id = :id;
SELECT price FROM products WHERE id = :id;
SELECT count(*) FROM orders WHERE customer_id = :id;
\endpipeline
SQL
pgbench -n -c 4 -t 50 -M prepared -f "$folder/pipeline.sql" >"$folder/pgbench" 2>&1 ||
    fail "pgbench $(cat "$folder/pgbench")"
has "$(cat "$folder/pgbench")" '200/200'
ok pipeline

if [ -n "${REFUSED_SQL:-}" ]; then
    out=$(printf '\\set VERBOSITY verbose\n%s;\nSELECT %s;\n' "$REFUSED_SQL" "'alive'" | sql 2>&1)
    has "$out" 'ERROR:  42501'
    has "$out" 'HINT'
    has "$out" alive
    out=$(printf 'BEGIN;\nCREATE TABLE kept (i int);\n%s;\nSELECT 1;\nCOMMIT;\nSELECT %s;\n' \
        "$REFUSED_SQL" "coalesce(to_regclass('kept')::text, 'nothing kept')" | sql 2>&1)
    has "$out" 'current transaction is aborted'
    has "$out" 'nothing kept'
    out=$(sql -c "CREATE TABLE kept (i int); $REFUSED_SQL" 2>&1 || true)
    has "$out" ERROR
    is "$(sql -c "SELECT to_regclass('kept') IS NULL")" t
    ok refused
fi
