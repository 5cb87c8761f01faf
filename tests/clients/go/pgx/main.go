// pgx: the checks of ../../README.md. All settings come from libpq's variables.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var (
	ctx     = context.Background()
	refused = os.Getenv("REFUSED_SQL")
)

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

func fails(code string, err error) {
	var server *pgconn.PgError
	that(errors.As(err, &server), "no error of the server: ", err)
	that(server.Code == code, "due was ", code, ": ", server)
}

func connect() *pgx.Conn {
	c, err := pgx.Connect(ctx, "")
	must(err)
	return c
}

type querier interface {
	QueryRow(context.Context, string, ...interface{}) pgx.Row
}

func number(c querier, sql string, args ...interface{}) int64 {
	var n int64
	must(c.QueryRow(ctx, sql, args...).Scan(&n))
	return n
}

func main() {
	c := connect()
	that(number(c, "SELECT 1 + 1") == 2, "arithmetic")
	ok("connect")
	parameters(c)
	failures(c)
	batch(c)
	copies(c)
	streams(c)
	cancels()
	listens(c)
	simple()
	pool()
	if refused != "" {
		refusals(c)
	}
	must(c.Close(ctx))
}

func parameters(c *pgx.Conn) {
	var (
		big     int64
		text    string
		float   float64
		truth   bool
		raw     []byte
		numbers []int32
		nothing *string
	)
	for n := 0; n < 20; n++ {
		must(c.QueryRow(ctx, "SELECT $1::int8, $2::text, $3::float8, $4::bool, $5::bytea, $6::int4[], $7::text",
			int64(1)<<40, "naïve ☎ 漢字 🦀", 1.5, true, []byte{0, 255, 39, 92}, []int32{1, 2, 3}, nil).
			Scan(&big, &text, &float, &truth, &raw, &numbers, &nothing))
		that(big == 1<<40 && text == "naïve ☎ 漢字 🦀" && float == 1.5 && truth, "scalars")
		that(bytes.Equal(raw, []byte{0, 255, 39, 92}) && len(numbers) == 3 && nothing == nil, "others")
	}
	ok("binary and text")
	ok("nulls")
	ok("unicode")
	_, err := c.Prepare(ctx, "product", "SELECT length(name) FROM products WHERE id = $1")
	must(err)
	for n := 0; n < 500; n++ {
		that(number(c, "product", n%40+1) > 0, n)
	}
	ok("prepared")
	that(number(c, "SELECT length($1::text)", strings.Repeat("x", 5<<20)) == 5<<20, "length")
	ok("large parameter")
	for n := 0; n < 1000; n++ {
		that(number(c, fmt.Sprintf("SELECT %d::int8", n)) == int64(n), n)
	}
	ok("many statements")
}

func failures(c *pgx.Conn) {
	_, err := c.Exec(ctx, "SELECT * FROM nowhere")
	fails("42P01", err)
	_, err = c.Exec(ctx, "SELECT 1 / $1::int", 0)
	fails("22012", err)
	that(number(c, "SELECT 1") == 1, "after an error")
	ok("error outside a transaction")
	tx, err := c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "SELECT 1 / $1::int", 0)
	fails("22012", err)
	_, err = tx.Exec(ctx, "SELECT 1")
	fails("25P02", err)
	must(tx.Rollback(ctx))
	that(number(c, "SELECT 1") == 1, "after a rollback")
	ok("error in a transaction")
}

func batch(c *pgx.Conn) {
	b := &pgx.Batch{}
	for n := 0; n < 300; n++ {
		b.Queue("SELECT $1::int8", n)
	}
	results := c.SendBatch(ctx, b)
	for n := 0; n < 300; n++ {
		var got int64
		must(results.QueryRow().Scan(&got))
		that(got == int64(n), got)
	}
	must(results.Close())
	ok("pipeline")
	b = &pgx.Batch{}
	b.Queue("SELECT 1")
	b.Queue("SELECT 1 / $1::int", 0)
	b.Queue("SELECT 2")
	results = c.SendBatch(ctx, b)
	_, err := results.Exec()
	must(err)
	_, err = results.Exec()
	fails("22012", err)
	results.Close()
	that(number(c, "SELECT 1") == 1, "after a batch")
	ok("error in pipeline")
}

func copies(c *pgx.Conn) {
	tx, err := c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "CREATE TEMP TABLE scratch (id int, label text) ON COMMIT DROP")
	must(err)
	copied, err := tx.CopyFrom(ctx, pgx.Identifier{"scratch"}, []string{"id", "label"},
		pgx.CopyFromSlice(10000, func(n int) ([]interface{}, error) {
			return []interface{}{int32(n), fmt.Sprintf("label %d", n)}, nil
		}))
	must(err)
	that(copied == 10000, copied)
	ok("copy binary")
	var out bytes.Buffer
	_, err = c.PgConn().CopyTo(ctx, &out, "COPY scratch TO STDOUT")
	must(err)
	that(bytes.Count(out.Bytes(), []byte("\n")) == 10000, "out")
	_, err = c.PgConn().CopyFrom(ctx, strings.NewReader(out.String()), "COPY scratch FROM STDIN")
	must(err)
	that(number(tx, "SELECT count(*) FROM scratch") == 20000, "count")
	ok("copy text")
	must(tx.Commit(ctx))
}

func streams(c *pgx.Conn) {
	rows, err := c.Query(ctx, "SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
	must(err)
	total := 0
	for rows.Next() {
		total += len(rows.RawValues()[0])
	}
	must(rows.Err())
	that(total == 100000000, total)
	ok("100 MB")
	rows, err = c.Query(ctx, "SELECT n, $1::text FROM generate_series(1, 100000) n", "unread")
	must(err)
	that(rows.Next(), "a row")
	rows.Close()
	that(number(c, "SELECT 1") == 1, "after an abandoned result")
	ok("abandoned result")
}

// A context's end closes the connection; the request to cancel is the driver's own message.
func cancels() {
	c := connect()
	time.AfterFunc(300*time.Millisecond, func() { must(c.PgConn().CancelRequest(ctx)) })
	_, err := c.Exec(ctx, "SELECT pg_sleep(30)")
	fails("57014", err)
	that(number(c, "SELECT 1") == 1, "after a cancel")
	// A context that ends before the statement is sent leaves the connection open: it gets longer.
	for patience := 300 * time.Millisecond; !c.IsClosed(); patience *= 2 {
		limited, stop := context.WithTimeout(ctx, patience)
		_, err = c.Exec(limited, "SELECT pg_sleep(30)")
		stop()
		that(err != nil && patience < 20*time.Second, "a context's end: ", err)
	}
	ok("cancel")
}

func listens(c *pgx.Conn) {
	channel := fmt.Sprintf("channel_%d", os.Getpid())
	_, err := c.Exec(ctx, "LISTEN "+channel)
	must(err)
	other := connect()
	_, err = other.Exec(ctx, "SELECT pg_notify($1, 'ping')", channel)
	must(err)
	limited, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	heard, err := c.WaitForNotification(limited)
	must(err)
	that(heard.Payload == "ping" && heard.PID == other.PgConn().PID(), heard)
	must(other.Close(ctx))
	ok("listen and notify")
}

func simple() {
	config, err := pgx.ParseConfig("")
	must(err)
	config.PreferSimpleProtocol = true
	var notices []string
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { notices = append(notices, notice.Message) }
	c, err := pgx.ConnectConfig(ctx, config)
	must(err)
	that(number(c, "SELECT $1::int8 + 1", 20) == 21, "simple")
	for n := 0; n < 2; n++ {
		_, err = c.Exec(ctx, "CREATE TEMP TABLE IF NOT EXISTS twice (id int)")
		must(err)
	}
	that(len(notices) == 1 && strings.Contains(notices[0], "already exists"), notices)
	must(c.Close(ctx))
	ok("simple query mode")
	ok("notice")
}

func pool() {
	config, err := pgxpool.ParseConfig("pool_max_conns=10 pool_min_conns=10")
	must(err)
	p, err := pgxpool.ConnectConfig(ctx, config)
	must(err)
	var group sync.WaitGroup
	for me := 0; me < 10; me++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < 50; n++ {
				that(number(p, "SELECT $1::int8", n) == int64(n), n)
			}
		}()
	}
	group.Wait()
	p.Close()
	ok("ten connections")
}

func refusals(c *pgx.Conn) {
	for n := 0; n < 2; n++ {
		_, err := c.Exec(ctx, refused)
		fails("42501", err)
		_, err = c.Prepare(ctx, fmt.Sprint("refused", n), refused)
		fails("42501", err)
		that(number(c, "SELECT 1") == 1, "after a refusal")
	}
	tx, err := c.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "CREATE TEMP TABLE kept (id int)")
	must(err)
	_, err = tx.Exec(ctx, refused)
	fails("42501", err)
	_, err = tx.Exec(ctx, "SELECT 1")
	fails("25P02", err)
	that(tx.Commit(ctx) == pgx.ErrTxCommitRollback, "a failed transaction is not committed")
	that(number(c, "SELECT count(*) FROM pg_class WHERE relname = 'kept'") == 0, "nothing kept")
	ok("refused")
}
