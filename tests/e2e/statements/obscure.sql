-- What is refused or withheld as soon as a column is protected: it cannot be understood, the server says
-- nothing of where in the text it is wrong, or a transaction may end in it, with errors about rows that
-- others wrote.

SELEC 1

SELECT FROM WHERE

SELECT 'unterminated

SELECT "unterminated

SELECT missing_function(1)

DELETE FROM missing WHERE id = 1

EXECUTE missing

COPY nowhere TO STDOUT

COPY products TO STDOUT (FORMAT yaml)

REFRESH MATERIALIZED VIEW nowhere

BEGIN; SELECT 1 / 0; SELECT 2

ROLLBACK

DELETE FROM customers WHERE id = 1
