-- What goes wrong: each answer is an error or a notice.

SELECT * FROM nowhere

SELECT * FROM nowhere.products

SELECT missing FROM products

SELECT p.missing FROM products p

SELECT q.id FROM products p

SELECT id FROM orders, products

SELECT lower(1, 2, 3)

SELECT 'x'::missing_type

SELECT 'x'::int

SELECT 'x'::timestamptz

SELECT '99-99-9999'::date

SELECT '{1,2'::int[]

SELECT '{bad json'::json

SELECT 'not-a-uuid'::uuid

SELECT '1.2.3'::inet

SELECT 'purple'::order_status

SELECT 1 / 0

SELECT 1.0 / 0

SELECT 2147483647 + 1

SELECT 40000::int2

SELECT sqrt(-1)

SELECT ln(0)

SELECT 1 + 'a'

SELECT 1 = 'a'::text

SELECT id, count(*) FROM orders

SELECT sum(id) FROM orders WHERE sum(id) > 1

SELECT (SELECT id FROM orders)

SELECT substring('x' from 1 for -1)

SELECT repeat('x', -1) || chr(0)

SELECT array_length(ARRAY[1], 1), (ARRAY[1])[5], ARRAY[1, 'x']

SELECT * FROM products LIMIT -1

SELECT * FROM (SELECT 1)  t(a, b)

SELECT 1 UNION SELECT 'a'

SELECT 1, 2 UNION SELECT 3

INSERT INTO products (id) VALUES (1)

INSERT INTO products (id, sku, name, price) VALUES (1, 'A', 'B', 1)

INSERT INTO products (id, sku, name, price) VALUES (90000, 'A', 'B', -1)

INSERT INTO products (id, sku, name, price) VALUES (90000, 'A', 'B', 123456789012)

INSERT INTO products (id, sku, name, price) VALUES (90000, 'A', NULL, 1)

INSERT INTO products (missing) VALUES (1)

INSERT INTO products VALUES (1, 2, 3, 4, 5, 6, 7, 8)

INSERT INTO orders (customer_id) VALUES (999999)

UPDATE products SET price = -5 WHERE id = 1

UPDATE products SET missing = 1 WHERE id = 1

UPDATE orders SET customer_id = 0 WHERE id = 1

CREATE TABLE products (id int)

CREATE INDEX ON nowhere (id)

ALTER TABLE nowhere ADD COLUMN a int

COMMENT ON TABLE nowhere IS 'x'

CREATE VIEW broken AS SELECT missing FROM products

CREATE TYPE order_status AS ENUM ('a')

GRANT SELECT ON nowhere TO PUBLIC

GRANT SELECT ON products TO nobody_there

SET missing_setting = 1

SET work_mem = 'lots'

SET TIME ZONE 'Nowhere/Land'

SHOW missing_setting

DEALLOCATE missing

FETCH 1 FROM missing

CLOSE missing

SAVEPOINT outside

ROLLBACK TO SAVEPOINT missing

RELEASE missing

COMMIT

LOCK TABLE orders

SELECT pg_sleep('a')

SELECT setval('missing_seq', 1)

SELECT nextval('missing_seq')

COPY products (missing) TO STDOUT

VACUUM nowhere

PREPARE broken AS SELECT missing

BEGIN

SELECT 1 / 0

SELECT 'in a failed block'

ROLLBACK

SELECT pg_terminate_backend('x')

SELECT * FROM json_to_recordset('[1]') AS r(a int)

SELECT jsonb_path_query('{}', '$.')

SELECT to_date('x', 'YYYY-MM-DD')

SELECT regexp_replace('a', '(', 'b')

SELECT encode('x', 'base91')

SELECT decode('===', 'base64')

SELECT convert_from('\xff', 'UTF8')

CREATE TABLE wrong (a int, a text)

SELECT DISTINCT ON (id) name FROM products ORDER BY name

WITH a AS (SELECT 1) SELECT * FROM b

SELECT current_setting('narrows.missing')

SET SESSION AUTHORIZATION nobody_there

SET ROLE nobody_there

SELECT lo_get(1)
