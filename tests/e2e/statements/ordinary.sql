-- What programs ask of a shop: reads, writes that are undone, settings, cursors. Paragraphs are texts.

SELECT 1

SELECT 1;

;

-- nothing but a comment

SELECT

SELECT FROM orders WHERE id <= 3

SELECT * FROM products WHERE false

SELECT NULL, NULL::int, NULL::text, NULL::int[]

SELECT 1 AS one, 'text' AS "Two Words", 2.50 AS "ünïcode"

SELECT 1; SELECT 2; SELECT 3

SELECT 1; SELECT 1 / 0; SELECT 3

BEGIN; SELECT count(*) FROM orders; COMMIT

VALUES (1, 'a'), (2, 'b')

TABLE products

TABLE order_items

SELECT current_schema(), current_schemas(true), current_setting('server_encoding')

SELECT version() LIKE 'PostgreSQL%', pg_backend_pid() > 0, now() > '2020-01-01'

SHOW transaction isolation level

SHOW standard_conforming_strings

SHOW server_version

SHOW search_path

SET application_name = 'worker 7'

SET TIME ZONE 'Europe/Berlin'

SELECT id, placed FROM orders ORDER BY id LIMIT 5

SET datestyle = 'German'

SELECT timestamptz '2024-05-06 07:08:09+00', date '2024-05-06', interval '1 day 2 hours'

SET datestyle = 'ISO, MDY'

SET intervalstyle = 'iso_8601'

SELECT interval '1 year 2 mons 3 days 04:05:06', interval '-1 day'

RESET intervalstyle

SET TIME ZONE 'UTC'

SET bytea_output = 'escape'

SELECT bytea '\x00015c27ff', 'abc'::bytea

RESET bytea_output

SET extra_float_digits = 0

SELECT 0.1::float8 + 0.2, 1e22::float8, 'NaN'::float8, '-Infinity'::float4

RESET extra_float_digits

SET client_min_messages = 'debug1'

SELECT 2 + 2

RESET client_min_messages

SET LOCAL statement_timeout = 1000

SET statement_timeout = '30s'

SELECT set_config('work_mem', '8MB', false)

RESET ALL

SELECT o.id, o.status, c.name FROM orders AS o JOIN customers AS c ON c.id = o.customer_id ORDER BY o.id LIMIT 20

SELECT c.name, count(o.id) AS orders FROM customers c LEFT OUTER JOIN orders o ON o.customer_id = c.id GROUP BY c.id, c.name HAVING count(o.id) > 3 ORDER BY 2 DESC, 1 LIMIT 10

SELECT name, orders FROM spending ORDER BY id LIMIT 10

SELECT * FROM spending WHERE orders > 2 ORDER BY id

SELECT status, count(*), min(placed), max(placed) FROM orders GROUP BY status ORDER BY status

SELECT status::text, count(*) FILTER (WHERE id % 2 = 0) FROM orders GROUP BY ROLLUP (status) ORDER BY 1 NULLS LAST

SELECT product_id, sum(quantity * price) AS total, round(avg(price), 2) FROM order_items GROUP BY product_id ORDER BY total DESC, 1 LIMIT 7

SELECT id, row_number() OVER (PARTITION BY status ORDER BY id), lag(id) OVER (ORDER BY id) FROM orders ORDER BY id LIMIT 12

WITH top AS (SELECT product_id, sum(quantity) AS sold FROM order_items GROUP BY 1) SELECT p.sku, t.sold FROM top t JOIN products p ON p.id = t.product_id ORDER BY t.sold DESC, p.sku LIMIT 5

WITH RECURSIVE steps(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM steps WHERE n < 12) SELECT n, n * n FROM steps

SELECT p.name, i.n FROM products p CROSS JOIN LATERAL (SELECT count(*) AS n FROM order_items WHERE product_id = p.id) i ORDER BY p.id LIMIT 5

SELECT EXISTS (SELECT 1 FROM orders WHERE status = 'returned')

SELECT (SELECT max(price) FROM products), (SELECT min(price) FROM products)

SELECT name FROM products WHERE id IN (1, 2, 3) OR sku LIKE 'A%' ORDER BY id

SELECT name FROM products WHERE id = ANY ('{4,5,6}'::int[]) ORDER BY id

SELECT name FROM products WHERE name ILIKE '%a%' ORDER BY name, id LIMIT 5 OFFSET 2

SELECT DISTINCT status FROM orders ORDER BY status

SELECT DISTINCT ON (customer_id) customer_id, id FROM orders ORDER BY customer_id, id DESC LIMIT 10

SELECT id FROM orders WHERE id < 4 UNION SELECT id FROM products WHERE id < 6 ORDER BY 1

SELECT id FROM orders WHERE id < 8 EXCEPT SELECT id FROM products WHERE id < 4 ORDER BY 1

SELECT id FROM orders WHERE id < 8 INTERSECT ALL SELECT id FROM products ORDER BY 1

SELECT CASE WHEN price > 50 THEN 'dear' WHEN price > 20 THEN 'fair' ELSE 'cheap' END AS class, count(*) FROM products GROUP BY 1 ORDER BY 1

SELECT coalesce(notes, '(none)'), nullif(name, ''), greatest(id, 3) FROM customers ORDER BY id LIMIT 6

SELECT upper(name), lower(sku), length(name), substr(name, 1, 3), trim(both ' ' from name) FROM products ORDER BY id LIMIT 6

SELECT attributes, attributes ->> 'color', attributes -> 'size', attributes ? 'color' FROM products ORDER BY id LIMIT 6

SELECT jsonb_pretty('{"a": [1, 2, {"b": null}]}'), json_build_object('k', 1, 'l', ARRAY[1, 2])

SELECT jsonb_agg(jsonb_build_object('id', id, 'sku', sku) ORDER BY id) FROM products WHERE id < 5

SELECT row_to_json(p) FROM (SELECT id, name FROM products ORDER BY id LIMIT 3) p

SELECT string_agg(sku, ', ' ORDER BY sku), array_agg(id ORDER BY id) FROM products WHERE id < 9

SELECT p FROM products p ORDER BY id LIMIT 3

SELECT (p).name, (p).price FROM products p ORDER BY id LIMIT 3

SELECT ROW(1, 'two', NULL), ROW(ROW(1, 2), 3)

SELECT id, picture, octet_length(picture) FROM products ORDER BY id LIMIT 4

SELECT id, tableoid::regclass FROM orders ORDER BY id LIMIT 2

SELECT * FROM generate_series(1, 5) AS n

SELECT n, n::text, n::float8 / 3 FROM generate_series(-2, 2) n

SELECT * FROM unnest(ARRAY['a', 'b', NULL], ARRAY[1, 2, 3]) WITH ORDINALITY AS u(letter, n, at)

SELECT * FROM json_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') AS r(a int, b text)

SELECT regexp_matches('foo=1,bar=22', '(\w+)=(\d+)', 'g')

SELECT regexp_split_to_table('one two  three', '\s+')

SELECT to_char(placed, 'YYYY-MM-DD'), extract(year FROM placed), date_trunc('month', placed) FROM orders ORDER BY id LIMIT 4

SELECT to_tsvector('simple', 'the fat cat'), to_tsquery('simple', 'fat & cat')

SELECT repeat('narrow gate ', 100000)

SELECT repeat('x', 1000000), repeat('y', 1000000)

SELECT n, repeat(n::text, 200) FROM generate_series(1, 3000) n

SELECT id FROM orders ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 2

SELECT id FROM orders ORDER BY id FETCH FIRST 3 ROWS ONLY

EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE id = 5

EXPLAIN (COSTS OFF, FORMAT json) SELECT name FROM products WHERE price > 10

EXPLAIN (COSTS OFF, VERBOSE) SELECT o.id FROM orders o JOIN order_items i ON i.order_id = o.id WHERE i.price > 5

BEGIN

SELECT 'inside'

SAVEPOINT sa_savepoint_1

INSERT INTO orders (id, customer_id, status, placed) VALUES (90001, 1, 'new', '2024-01-01 00:00:00+00') RETURNING id, status, placed

INSERT INTO orders (id, customer_id) SELECT 90100 + n, 1 + n FROM generate_series(1, 5) n

UPDATE orders SET status = 'paid' WHERE id = 90001 RETURNING orders.id, orders.status

UPDATE "products" SET "price" = "products"."price" * 2, "name" = 'Renamed' WHERE "products"."id" = 1

UPDATE products SET attributes = attributes || '{"seen": true}' WHERE id IN (2, 3) RETURNING id, attributes

ROLLBACK TO SAVEPOINT sa_savepoint_1

RELEASE SAVEPOINT sa_savepoint_1

DELETE FROM order_items WHERE order_id = 1 RETURNING *

INSERT INTO products (id, sku, name, price) VALUES (1, 'X', 'Y', 1) ON CONFLICT (id) DO NOTHING

INSERT INTO products (id, sku, name, price) VALUES (1, 'X-1', 'Y', 1) ON CONFLICT (id) DO UPDATE SET price = excluded.price RETURNING id, price

MERGE INTO products p USING (VALUES (1, 9.5), (2, 8.5)) AS v(id, price) ON p.id = v.id WHEN MATCHED THEN UPDATE SET price = v.price

WITH gone AS (DELETE FROM order_items WHERE order_id = 2 RETURNING product_id, quantity) SELECT count(*), sum(quantity) FROM gone

DECLARE walk CURSOR FOR SELECT id, sku, price FROM products ORDER BY id

FETCH 3 FROM walk

FETCH NEXT FROM walk

MOVE 5 IN walk

FETCH FORWARD 2 FROM walk

CLOSE walk

DECLARE back SCROLL CURSOR FOR SELECT n FROM generate_series(1, 9) n

FETCH LAST FROM back

FETCH BACKWARD 3 FROM back

FETCH ALL FROM back

CLOSE ALL

LOCK TABLE orders IN SHARE MODE

ROLLBACK

ROLLBACK

BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY

SELECT count(*) FROM order_items

COMMIT

START TRANSACTION

SELECT 1 / 0

SELECT 'not run'

COMMIT

BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id; COMMIT

FETCH 4 FROM held

CLOSE held

PREPARE by_id (int) AS SELECT id, sku, name FROM products WHERE id = $1

EXECUTE by_id(3)

EXECUTE by_id(4)

DEALLOCATE by_id

PREPARE all_of AS SELECT status, count(*) FROM orders GROUP BY status ORDER BY status

EXECUTE all_of

DEALLOCATE ALL

BEGIN

CREATE TEMP TABLE scratch (id int PRIMARY KEY, label text DEFAULT 'none', at timestamptz) ON COMMIT DROP

CREATE TABLE IF NOT EXISTS orders (id int)

CREATE INDEX scratch_label ON scratch (label)

COMMENT ON COLUMN products.sku IS 'the unit that is kept in stock'

ALTER TABLE products ADD COLUMN IF NOT EXISTS sku text

ANALYZE order_items

GRANT SELECT ON products TO PUBLIC

ROLLBACK

LISTEN news

NOTIFY news, 'a word'

SELECT pg_notify('news', 'another')

UNLISTEN *

DISCARD PLANS

DISCARD SEQUENCES

SELECT currval('orders_id_seq')

SELECT pg_typeof(1), pg_typeof('x'::text), pg_typeof(ARRAY[1])

SELECT has_table_privilege('orders', 'SELECT'), pg_table_is_visible('orders'::regclass)

SELECT 'orders'::regclass, 'int4'::regtype, 'lower(text)'::regprocedure, '+(int4,int4)'::regoperator

SELECT txid_current_if_assigned() IS NULL

SELECT $$dollar 'quoted' text$$, E'tab\tnew\nline \\ \u00e9', U&'d\0061t\+000061', N'national', B'101', X'1F'

SELECT 'continued '
  'over lines'

SELECT /* a comment /* nested */ here */ 1 -- and here

SELECT 1 WHERE 1 = 1 AND 'a' || 'b' = 'ab' AND NOT false AND 5 BETWEEN 1 AND 9

SELECT md5('x'), sha256('x'), encode('x', 'base64'), decode('eA==', 'base64')

SELECT crc FROM (SELECT hashtext('x') IS NOT NULL AS crc) c

SELECT array_to_string(ARRAY[1, NULL, 3], ',', '*'), string_to_array('a,b,,c', ','), ARRAY[[1, 2], [3, 4]]

SELECT int4range(1, 10), int4multirange(int4range(1, 3), int4range(5, 9)), tstzrange('2024-01-01 00:00Z', NULL)

SELECT inet '192.168.1.5/24', network('192.168.1.5/24'), macaddr '08:00:2b:01:02:03', host('10.0.0.1')

SELECT point(1, 2), box(point(0, 0), point(1, 1)), circle '<(1,2),3>', '((0,0),(1,1),(1,0))'::polygon

SELECT uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '12.34'::money, bit '1010', '1'::"char", 'n'::name

SELECT xmlelement(name greeting, xmlattributes('en' AS lang), 'hello'), xmlparse(content '<a/>')
