// pgx: the held statements of ../../README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

var ctx = context.Background()

func ok(check string) { fmt.Println("ok", check) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func that(fact bool, shown ...interface{}) {
	if !fact {
		panic(fmt.Sprint(shown...))
	}
}

func refused(words string, err error) {
	var server *pgconn.PgError
	that(errors.As(err, &server), "no error of the server: ", err)
	that(server.Code == "42501" && strings.Contains(server.Message, words), server)
}

type querier interface {
	QueryRow(context.Context, string, ...interface{}) pgx.Row
}

func update(c querier, word string, price string) (string, error) {
	var got string
	text := "UPDATE products SET price = $1::text::numeric WHERE id = $2 RETURNING price::text /* " + word + " */"
	err := c.QueryRow(ctx, text, price, 1).Scan(&got)
	return got, err
}

func insert(c querier) (string, error) {
	var got string
	text := "INSERT INTO products (sku, name, price) VALUES ($1, 'later', 1) RETURNING sku"
	err := c.QueryRow(ctx, text, "later-pgx").Scan(&got)
	return got, err
}

func main() {
	config, err := pgx.ParseConfig("")
	must(err)
	var notices []string
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { notices = append(notices, notice.Message) }
	c, err := pgx.ConnectConfig(ctx, config)
	must(err)
	defer c.Close(ctx)

	price, err := update(c, "approve", "41.50")
	must(err)
	that(price == "41.50", price)
	that(strings.HasPrefix(notices[0], "narrows: waiting for approval apr_"), notices)
	ok("approved")
	_, err = update(c, "reject", "0")
	refused("not on a Friday", err)
	must(c.QueryRow(ctx, "SELECT price::text FROM products WHERE id = 1").Scan(&price))
	that(price == "41.50", price)
	ok("rejected")
	again(c)
	transactions(c)
	rows := make([][]interface{}, 2000)
	for n := range rows {
		rows[n] = []interface{}{n, "copied"}
	}
	copied, err := c.CopyFrom(ctx, pgx.Identifier{"intake"}, []string{"n", "label"}, pgx.CopyFromRows(rows))
	must(err)
	that(copied == 2000, copied)
	ok("copied")
}

func again(c *pgx.Conn) {
	told := 0
	for {
		sku, err := insert(c)
		if err == nil {
			that(sku == "later-pgx", sku)
			break
		}
		refused("waits as apr_", err)
		told++
	}
	that(told > 0, "approved before it was told to come again")
	_, err := insert(c)
	refused("waits as apr_", err)
	ok("came again")
}

func transactions(c *pgx.Conn) {
	tx, err := c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "INSERT INTO intake VALUES (1, 'pgx')")
	must(err)
	price, err := update(tx, "approve", "42.50")
	must(err)
	that(price == "42.50", price)
	must(tx.Commit(ctx))
	tx, err = c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "INSERT INTO intake VALUES (2, 'pgx')")
	must(err)
	_, err = update(tx, "reject", "0")
	refused("not on a Friday", err)
	that(errors.Is(tx.Commit(ctx), pgx.ErrTxCommitRollback), "committed all the same")
	var kept int
	must(c.QueryRow(ctx, "SELECT count(*) FROM intake WHERE label = 'pgx'").Scan(&kept))
	that(kept == 1, kept)
	ok("in a transaction")
}
