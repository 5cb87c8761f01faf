// node-postgres: the held statements of ../README.md.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const require = createRequire(new URL('../../support/package.json', import.meta.url));
const { Client } = require('pg');
const copyStreams = require('pg-copy-streams');

const ok = (check) => console.log(`ok ${check}`);
const client = new Client({ ssl: { ca: readFileSync(process.env.PGSSLROOTCERT) } });
const notices = [];
client.on('notice', (notice) => notices.push(notice.message));
await client.connect();

const text = (word) => `UPDATE products SET price = $1 WHERE id = $2 RETURNING price /* ${word} */`;
const update = async (word, price) => (await client.query(text(word), [price, 1])).rows[0].price;
const refused = (promise, words) => assert.rejects(promise, (error) => {
  assert.equal(error.code, '42501', error.message);
  assert.ok(error.message.includes(words), error.message);
  return true;
});

// Queued behind what waits, as this driver does.
const [price, one] = await Promise.all([update('approve', '41.50'), client.query('SELECT 1 AS one')]);
assert.deepEqual([price, one.rows[0].one], ['41.50', 1]);
assert.match(notices[0], /^narrows: waiting for approval apr_/);
ok('approved');

await refused(update('reject', '0'), 'not on a Friday');
const { rows: [product] } = await client.query('SELECT price FROM products WHERE id = 1');
assert.equal(product.price, '41.50');
ok('rejected');

const insert = () => client.query(
  "INSERT INTO products (sku, name, price) VALUES ($1, 'later', 1) RETURNING sku", ['later-node']);
let told = 0;
for (let done = false; !done;) {
  try {
    assert.equal((await insert()).rows[0].sku, 'later-node');
    done = true;
  } catch (error) {
    assert.match(String(error.message), /waits as apr_/);
    told += 1;
  }
}
assert.ok(told > 0, 'approved before it was told to come again');
await refused(insert(), 'waits as apr_');
ok('came again');

await client.query('BEGIN');
await client.query("INSERT INTO intake VALUES (1, 'node')");
assert.equal(await update('approve', '42.50'), '42.50');
await client.query('COMMIT');
await client.query('BEGIN');
await client.query("INSERT INTO intake VALUES (2, 'node')");
await refused(update('reject', '0'), 'not on a Friday');
assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
const kept = await client.query("SELECT n FROM intake WHERE label = 'node'");
assert.deepEqual(kept.rows, [{ n: 1 }]);
ok('in a transaction');

const rows = Array.from({ length: 2000 }, (_, n) => `${n}\tcopied\n`);
await pipeline(Readable.from(rows), client.query(copyStreams.from('COPY intake FROM STDIN')));
const copied = await client.query("SELECT count(*)::int AS n FROM intake WHERE label = 'copied'");
assert.equal(copied.rows[0].n, 2000);
ok('copied');
await client.end();
