// lib/pq through database/sql: the checks of ../../README.md. All settings come from libpq's variables.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

var refused = os.Getenv("REFUSED_SQL")

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
	var server *pq.Error
	that(errors.As(err, &server), "no error of the server: ", err)
	that(string(server.Code) == code, "due was ", code, ": ", server)
}

type querier interface {
	QueryRow(string, ...interface{}) *sql.Row
}

func number(q querier, text string, args ...interface{}) int64 {
	var n int64
	must(q.QueryRow(text, args...).Scan(&n))
	return n
}

func open(settings string) *sql.DB {
	db, err := sql.Open("postgres", settings)
	must(err)
	return db
}

func main() {
	db := open("")
	db.SetMaxOpenConns(1)
	that(number(db, "SELECT 1 + 1") == 2, "arithmetic")
	ok("connect")
	parameters(db)
	// One round trip less: parameters in the binary format, the statement unnamed.
	binary := open("binary_parameters=yes")
	binary.SetMaxOpenConns(1)
	parameters(binary)
	must(binary.Close())
	ok("binary parameters")
	failures(db)
	copies(db)
	streams(db)
	cancels(db)
	listens(db)
	pool()
	if refused != "" {
		refusals(db)
	}
	must(db.Close())
}

func parameters(db *sql.DB) {
	var (
		big     int64
		text    string
		float   float64
		truth   bool
		raw     []byte
		nothing sql.NullString
	)
	must(db.QueryRow("SELECT $1::int8, $2::text, $3::float8, $4::bool, $5::bytea, $6::text",
		int64(1)<<40, "naïve ☎ 漢字 🦀", 1.5, true, []byte{0, 255, 39, 92}, nil).
		Scan(&big, &text, &float, &truth, &raw, &nothing))
	that(big == 1<<40 && text == "naïve ☎ 漢字 🦀" && float == 1.5 && truth, "scalars")
	that(bytes.Equal(raw, []byte{0, 255, 39, 92}) && !nothing.Valid, "others")
	ok("text and nulls")
	statement, err := db.Prepare("SELECT length(name) FROM products WHERE id = $1")
	must(err)
	for n := 0; n < 300; n++ {
		var length int
		must(statement.QueryRow(n%40 + 1).Scan(&length))
	}
	must(statement.Close())
	ok("prepared")
	that(number(db, "SELECT length($1::text)", strings.Repeat("x", 5<<20)) == 5<<20, "length")
	ok("large parameter")
	for n := 0; n < 500; n++ {
		that(number(db, fmt.Sprintf("SELECT %d", n)) == int64(n), n)
	}
	ok("many statements")
}

func failures(db *sql.DB) {
	_, err := db.Exec("SELECT * FROM nowhere")
	fails("42P01", err)
	_, err = db.Exec("SELECT 1 / $1::int", 0)
	fails("22012", err)
	that(number(db, "SELECT 1") == 1, "after an error")
	ok("error outside a transaction")
	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("SELECT 1 / $1::int", 0)
	fails("22012", err)
	_, err = tx.Exec("SELECT 1")
	fails("25P02", err)
	must(tx.Rollback())
	that(number(db, "SELECT 1") == 1, "after a rollback")
	ok("error in a transaction")
}

func copies(db *sql.DB) {
	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("CREATE TEMP TABLE scratch (id int, label text) ON COMMIT DROP")
	must(err)
	in, err := tx.Prepare(pq.CopyIn("scratch", "id", "label"))
	must(err)
	for n := 0; n < 10000; n++ {
		_, err = in.Exec(n, fmt.Sprintf("label\t%d", n))
		must(err)
	}
	_, err = in.Exec()
	must(err)
	must(in.Close())
	that(number(tx, "SELECT count(*) FROM scratch") == 10000, "count")
	must(tx.Commit())
	ok("copy text")
}

func streams(db *sql.DB) {
	rows, err := db.Query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
	must(err)
	total := 0
	for rows.Next() {
		var x sql.RawBytes
		must(rows.Scan(&x))
		total += len(x)
	}
	must(rows.Err())
	that(total == 100000000, total)
	ok("100 MB")
}

func cancels(db *sql.DB) {
	limited, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer stop()
	started := time.Now()
	_, err := db.ExecContext(limited, "SELECT pg_sleep(30)")
	that(err != nil && time.Since(started) < 10*time.Second, err)
	that(number(db, "SELECT 1") == 1, "after a cancel")
	ok("cancel")
}

func listens(db *sql.DB) {
	channel := fmt.Sprintf("channel_%d", os.Getpid())
	listener := pq.NewListener("", time.Second, time.Minute, nil)
	must(listener.Listen(channel))
	_, err := db.Exec("SELECT pg_notify($1, 'ping')", channel)
	must(err)
	select {
	case heard := <-listener.Notify:
		that(heard.Extra == "ping", heard)
	case <-time.After(10 * time.Second):
		panic("nothing heard")
	}
	must(listener.Close())
	ok("listen and notify")
}

func pool() {
	db := open("")
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	var group sync.WaitGroup
	for me := 0; me < 10; me++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < 50; n++ {
				that(number(db, "SELECT $1::int8", n) == int64(n), n)
			}
		}()
	}
	group.Wait()
	must(db.Close())
	ok("ten connections")
}

func refusals(db *sql.DB) {
	for n := 0; n < 2; n++ {
		_, err := db.Exec(refused)
		fails("42501", err)
		_, err = db.Prepare(refused)
		fails("42501", err)
		that(number(db, "SELECT 1") == 1, "after a refusal")
	}
	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("CREATE TEMP TABLE kept (id int)")
	must(err)
	_, err = tx.Exec(refused)
	fails("42501", err)
	_, err = tx.Exec("SELECT 1")
	fails("25P02", err)
	must(tx.Rollback())
	that(number(db, "SELECT count(*) FROM pg_class WHERE relname = 'kept'") == 0, "nothing kept")
	ok("refused")
}
