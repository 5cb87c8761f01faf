#!/bin/bash
# psql: the held statements of ../README.md.
set -euo pipefail

. "$(dirname "$0")/words.sh"
sql() { psql -XAtq "$@" 2>&1; }
update() { echo "UPDATE products SET price = $2 WHERE id = 1 RETURNING price /* $1 */"; }
insert="INSERT INTO products (sku, name, price) VALUES ('later-psql', 'later', 1) RETURNING sku"

out=$(sql -c "$(update approve 41.50)")
has "$out" 'NOTICE:  narrows: waiting for approval apr_'
is "$(tail -n 1 <<<"$out")" 41.50
ok approved
out=$(printf '%s;\nSELECT price FROM products WHERE id = 1;\n' "$(update reject 0)" | sql)
has "$out" 'not on a Friday'
is "$(tail -n 1 <<<"$out")" 41.50
ok rejected

told=0
until out=$(sql -c "$insert"); do
    has "$out" 'waits as apr_'
    told=$((told + 1))
done
is "$(tail -n 1 <<<"$out")" later-psql
[ $told -gt 0 ] || fail 'approved before it was told to come again'
has "$(sql -c "$insert" || true)" 'waits as apr_'
ok 'came again'

sql >/dev/null <<SQL
BEGIN;
INSERT INTO intake VALUES (1, 'psql');
$(update approve 42.50);
COMMIT;
BEGIN;
INSERT INTO intake VALUES (2, 'psql');
$(update reject 0);
COMMIT;
SQL
is "$(sql -c "SELECT n FROM intake WHERE label = 'psql'")" 1
is "$(sql -c 'SELECT price FROM products WHERE id = 1')" 42.50
ok 'in a transaction'

seq 2000 | sed 's/$/\tcopied/' | sql -c '\copy intake FROM STDIN' >/dev/null
is "$(sql -c "SELECT count(*) FROM intake WHERE label = 'copied'")" 2000
ok copied

# psql sends a CancelRequest when it is interrupted: what waits is taken back.
out=$(timeout --signal=INT 1.5 psql -XAtqc "$(update nobody 0)" 2>&1) && fail 'nobody cancelled'
has "$out" 'canceling statement'
is "$(sql -c 'SELECT price FROM products WHERE id = 1')" 42.50
ok 'given up'
