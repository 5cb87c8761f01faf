// node-postgres: the checks of ../README.md.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const require = createRequire(new URL('../../support/package.json', import.meta.url));
const { Client, Pool } = require('pg');
const QueryStream = require('pg-query-stream');
const copyStreams = require('pg-copy-streams');

const refused = process.env.REFUSED_SQL;
const settings = { ssl: { ca: readFileSync(process.env.PGSSLROOTCERT) } };
const ok = (check) => console.log(`ok ${check}`);

async function connect() {
  const client = new Client(settings);
  await client.connect();
  return client;
}

const one = async (client, text, values) => Object.values((await client.query(text, values)).rows[0]);
const fails = (promise, code) => assert.rejects(promise, (error) => {
  assert.equal(error.code, code, error.message);
  return true;
});

const client = await connect();
assert.deepEqual(await one(client, 'SELECT 1 + 1'), [2]);
ok('connect');

const values = ['1099511627776', 'añb☎', 1.5, true, { a: [1, null] }, Buffer.from([0, 255, 39, 92])];
const text = 'SELECT $1::int8, $2::text, $3::float8, $4::bool, $5::jsonb, $6::bytea';
assert.deepEqual(await one(client, text, values), values);
const binary = await client.query({ text: 'SELECT $1::int4 AS n', values: [7], binary: true });
assert.equal(binary.rows[0].n, 7);
ok('binary and text');
assert.deepEqual(await one(client, 'SELECT $1::text, $2::int, NULL', [null, null]), [null, null, null]);
ok('nulls');
assert.deepEqual(await one(client, "SELECT 'naïve ☎ 漢字 🦀'"), ['naïve ☎ 漢字 🦀']);
ok('unicode');

for (let n = 0; n < 500; n += 1) {
  const query = { name: 'product', text: 'SELECT name FROM products WHERE id = $1', values: [n % 40 + 1] };
  assert.equal((await client.query(query)).rowCount, 1);
}
ok('prepared');

const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => one(client, 'SELECT $1::int', [n])));
assert.deepEqual(answers.flat(), Array.from({ length: 200 }, (_, n) => n));
const several = await client.query('SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c');
assert.deepEqual(several.map((result) => Object.values(result.rows[0])[0]), [1, 2, 3]);
ok('queued queries');

const large = 'x'.repeat(5 * 1024 * 1024);
assert.deepEqual(await one(client, 'SELECT length($1::text)', [large]), [large.length]);
ok('large parameter');

await fails(client.query('SELECT * FROM nowhere'), '42P01');
await fails(client.query('SELECT $1::int / 0', [1]), '22012');
assert.deepEqual(await one(client, 'SELECT 1'), [1]);
ok('error outside a transaction');

await client.query('BEGIN');
await client.query('CREATE TEMP TABLE gone (id int)');
await fails(client.query('SELECT $1::int / 0', [1]), '22012');
await fails(client.query('SELECT 1'), '25P02');
await client.query('ROLLBACK');
assert.deepEqual(await one(client, "SELECT to_regclass('gone')"), [null]);
ok('error in a transaction');

const notices = [];
client.on('notice', (notice) => notices.push(notice.message));
await client.query('CREATE TEMP TABLE IF NOT EXISTS twice (id int)');
await client.query('CREATE TEMP TABLE IF NOT EXISTS twice (id int)');
assert.deepEqual(notices, ['relation "twice" already exists, skipping']);
ok('notice');

await client.query('BEGIN');
await client.query('CREATE TEMP TABLE scratch (id int, label text) ON COMMIT DROP');
const lines = Readable.from(Array.from({ length: 10000 }, (_, n) => `${n}\tlabel ${n}\n`));
await pipeline(lines, client.query(copyStreams.from('COPY scratch FROM STDIN')));
let copied = '';
for await (const chunk of client.query(copyStreams.to('COPY scratch TO STDOUT'))) copied += chunk;
assert.equal(copied.split('\n').length, 10001);
ok('copy text');

// Portals, 100 rows at a time.
let sum = 0;
const cursor = new QueryStream('SELECT n FROM generate_series(1, 1000) n', [], { batchSize: 100 });
for await (const row of client.query(cursor)) sum += row.n;
assert.equal(sum, 500500);
ok('fetch size');
let bytes = 0;
const rows = new QueryStream("SELECT repeat('x', 1000) AS x FROM generate_series(1, 100000)", [], { batchSize: 1000 });
for await (const row of client.query(rows)) bytes += row.x.length;
assert.equal(bytes, 100_000_000);
assert.ok(process.resourceUsage().maxRSS < 600_000);
await client.query('COMMIT');
ok('100 MB');

for (let n = 0; n < 1000; n += 1) assert.deepEqual(await one(client, `SELECT ${n}`), [n]);
ok('many statements');

const other = await connect();
const heard = new Promise((resolve) => { client.once('notification', resolve); });
await client.query(`LISTEN channel_${process.pid}`);
await other.query(`NOTIFY channel_${process.pid}, 'ping'`);
const notification = await heard;
assert.equal(notification.payload, 'ping');
assert.equal(notification.processId, other.processID);
ok('listen and notify');
await other.end();

// The driver sends its CancelRequest in the clear, on a connection of its own.
const { Query } = require('pg');
const asleep = new Query('SELECT pg_sleep(30)');
const ended = new Promise((resolve) => { asleep.on('error', resolve).on('end', resolve); });
client.query(asleep);
await sleep(300);
new Client({ ...settings, ssl: false }).cancel(client, asleep);
assert.equal((await ended)?.code, '57014');
assert.deepEqual(await one(client, 'SELECT 1'), [1]);
ok('cancel');

const pool = new Pool({ ...settings, max: 10 });
const pooled = await Promise.all(Array.from({ length: 500 }, (_, n) => one(pool, 'SELECT $1::int', [n])));
assert.deepEqual(pooled.flat(), Array.from({ length: 500 }, (_, n) => n));
await pool.end();
ok('ten connections');

if (refused) {
  for (let n = 0; n < 2; n += 1) {
    await fails(client.query(refused), '42501');
    await fails(client.query({ name: `refused${n}`, text: refused, values: [] }), '42501');
    assert.deepEqual(await one(client, 'SELECT 1'), [1]);
  }
  for (const query of [refused, { name: 'refused', text: refused }]) {
    await client.query('BEGIN');
    await client.query('CREATE TEMP TABLE kept (id int)');
    await fails(client.query(query), '42501');
    await fails(client.query('SELECT 1'), '25P02');
    await client.query('COMMIT');
    assert.deepEqual(await one(client, "SELECT to_regclass('kept')"), [null]);
  }
  ok('refused');
}
await client.end();
