#!/bin/bash
# A guided run: a throw-away PostgreSQL with a small shop, a development OIDC issuer, Narrows between
# them and a bot. Every command is printed before it runs; the run fails if one does not do what it
# should. Nothing is left running, unless KEEP=1.
#
# `narrows demo` runs it. Reads NARROWS, the binary; SHOP, the SQL of the shop; and KEEP.
set -euo pipefail

narrows_binary=${NARROWS:?run it by: narrows demo}
unset NARROWS
folder=$(mktemp -d "${TMPDIR:-/tmp}/narrows-demo.XXXXXX")
processes=()

main() {
    find_programs
    for variable in ${!PG*}; do unset "$variable"; done
    [ -t 1 ] || export NO_COLOR=1
    trap cleanup EXIT
    trap 'exit 130' INT TERM
    prepare_shell
    start_postgres
    start_issuer
    start_narrows
    walk
    if [ -n "${KEEP:-}" ]; then keep; fi
    heading "All of it went as it should"
}

walk() {
    heading "A bot reads"
    tell "All that the bot has is a token from its own platform, here the development issuer. It logs" \
        "in to Narrows as to any PostgreSQL; the database's password stays in the vault."
    show "export PGPASSWORD=\$(narrows token dev --dir issuer --claim repository=acme/shop --expires 10m)"
    show "export PGHOST=localhost PGPORT=$port PGUSER=shop-bot PGDATABASE=shop"
    show "export PGSSLMODE=verify-full PGSSLROOTCERT=$folder/ca.pem"
    expect "Lamp no. 40" "psql -c 'SELECT name, price FROM products ORDER BY price DESC LIMIT 3'"

    heading "What is protected does not reach it"
    tell "Two columns are masked, by where a value comes from and not by what the bot calls it; what is" \
        "computed from them is replaced too. Everything else comes as it is."
    expect "@pseudonym.invalid" "psql -c 'SELECT name, email, ssn FROM customers ORDER BY id LIMIT 3'"
    expect "[redacted]" "psql -c 'SELECT name, ssn AS harmless, reverse(ssn) FROM customers ORDER BY id LIMIT 1'"
    expect "***-**-" "psql -c 'COPY customers (id, ssn) TO STDOUT' | head -n 2"
    refuse "psql -c 'CREATE TABLE mine AS SELECT email FROM customers'"

    heading "A bot is refused, and works on"
    tell "One psql session: the table is not dropped, the statement after it runs."
    cat >session.sql <<'SQL'
SELECT count(*) AS orders FROM orders;
DROP TABLE order_items;
DELETE FROM customers;
SELECT count(*) AS items_still_there FROM order_items;
SQL
    show "cat session.sql"
    expect "dropping needs a migration" "psql -f session.sql"
    heard "items_still_there" "the session goes on after a refusal"
    heard "need a selective WHERE" "the second rule refuses, too"

    heading "A human decides"
    tell "The bot's statement waits in the gateway. Beside it, as in a second terminal, an operator looks" \
        "at it and lets it run, once."
    printf '\n$ %s\n' "psql -c 'UPDATE products SET price = 99 WHERE id = 1' &"
    psql -c 'UPDATE products SET price = 99 WHERE id = 1' >held 2>&1 &
    held=$!
    until_true "the statement waits" waits_for_approval
    expect "prices-need-a-human" "narrows approvals ls -c narrows.toml"
    request=$(narrows approvals ls -c narrows.toml --json | grep -o 'apr_[0-9a-f]*' | head -n 1)
    expect "UPDATE products" "narrows approvals show -c narrows.toml $request"
    expect "its command runs" "narrows approvals approve -c narrows.toml $request"
    wait $held || fail "the approved statement failed: $(cat held)"
    tell "The bot's terminal:"
    cat held
    grep -q 'UPDATE 1' held || fail "the approved statement did not run"

    heading "Tokens that are not good enough"
    tell "Taken from another repository's job; then one that has expired. The bot hears the same from" \
        "both, the operator's log says which it was."
    show "export PGPASSWORD=\$(narrows token dev --dir issuer --claim repository=stranger/fork)"
    refuse "psql -c 'SELECT 1'"
    show "export PGPASSWORD=\$(narrows token dev --dir issuer --claim repository=acme/shop --issued-ago 2h --expires 1h)"
    refuse "psql -c 'SELECT 1'"
    show "tail -n 2 narrows.log"

    heading "What the operator sees"
    expect "DROP TABLE order_items" "narrows tail -c narrows.toml"
    heard "no-drops" "the verdict names its rule"
    session=$(narrows tail -c narrows.toml --json | grep 'DROP TABLE order_items' |
        sed -n 's/.*"session"[^"]*"\([^"]*\)".*/\1/p' | tail -n 1)
    [ -n "$session" ] || fail "no session in what tail tells"
    expect "items_still_there" "narrows play -c narrows.toml $session"
    expect "" "narrows verify -c narrows.toml"
}

start_postgres() {
    heading "A throw-away PostgreSQL with a small shop"
    db_port=$(free_port)
    db_password=$(openssl rand -hex 16)
    db_user=()
    if [ "$(id -u)" = 0 ]; then
        # The server refuses to run as root.
        owner=$(id -u postgres >/dev/null 2>&1 && echo postgres || echo nobody)
        db_user=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups --)
        mkdir db && chown "$owner" db && chmod 755 "$folder"
    else
        mkdir db
    fi
    quietly "${db_user[@]}" "$pg_bin/initdb" -D "$folder/db/data" -U postgres -A trust -E UTF8 \
        --locale=C --no-sync
    cat >db.conf <<CONF
listen_addresses = '127.0.0.1'
port = $db_port
unix_socket_directories = '$folder/db'
fsync = off
CONF
    cat >db.hba <<'HBA'
local all postgres               trust
host  all shop_app 127.0.0.1/32  scram-sha-256
HBA
    chmod 644 db.conf db.hba
    "${db_user[@]}" cp db.conf db/data/postgresql.auto.conf
    "${db_user[@]}" cp db.hba db/data/pg_hba.conf
    "${db_user[@]}" "$pg_bin/postgres" -D "$folder/db/data" >postgres.log 2>&1 &
    processes+=($!)
    until_true "PostgreSQL is up" psql -h "$folder/db" -p "$db_port" -U postgres -d postgres -qc ''
    admin=(psql -X -q -v ON_ERROR_STOP=1 -h "$folder/db" -p "$db_port" -U postgres)
    echo "CREATE ROLE shop_app LOGIN PASSWORD '$db_password'; CREATE DATABASE shop OWNER shop_app;" |
        sed 's/; /;\n/' | "${admin[@]}" -d postgres
    "${admin[@]}" -d shop -1 -c 'SET ROLE shop_app' -f - <<<"$SHOP"
    tell "listens on 127.0.0.1:$db_port; role shop_app, its password a random one"
}

start_issuer() {
    heading "A development OIDC issuer: not for production"
    echo "\$ narrows dev-issuer --dir issuer --listen 127.0.0.1:0 &"
    narrows dev-issuer --dir issuer --listen 127.0.0.1:0 >issuer.log 2>&1 &
    processes+=($!)
    until_true "the issuer says where it is" grep -q '^http' issuer.log
    issuer=$(grep -m 1 -o '^http[^ ]*' issuer.log)
    tell "$issuer"
}

start_narrows() {
    heading "Narrows"
    port=$(free_port)
    make_certificate
    cat >narrows.toml <<TOML
[node]
name      = "demo"
state_dir = "state"

[[issuer]]
name      = "dev"
issuer    = "$issuer"
audiences = ["narrows"]

[[service_account]]
name  = "shop-bot"
match = [ { issuer = "dev", claims = { repository = "acme/shop" } } ]

[[target]]
name     = "shop-db"
protocol = "postgres"
address  = "127.0.0.1:$db_port"
tls      = { mode = "disable" }

[[listener]]
target = "shop-db"
bind   = "127.0.0.1:$port"
tls    = { cert = "narrows.pem", key = "narrows.key" }

[[connection]]
service_account = "shop-bot"
target          = "shop-db"
credential      = { username = "shop_app", password = { vault = "shop-db/app" } }
policies        = ["baseline", "pii"]

[policy.baseline]
default = "allow"
unknown = "deny"

[[policy.baseline.rule]]
id      = "no-drops"
when    = { effects.any = ["ddl_drop", "truncate"] }
action  = "deny"
message = "dropping needs a migration"

[[policy.baseline.rule]]
id      = "no-unbounded-writes"
when    = { effects.any = ["update", "delete"], flags.any = ["no_where", "const_true_where"] }
action  = "deny"
message = "UPDATE and DELETE need a selective WHERE"

[[policy.baseline.rule]]
id     = "prices-need-a-human"
when   = { effects.any = ["update"], objects.write.any = "*.products" }
action = { hold = { for = "15m", wait = "30s" } }

[policy.pii]
default = "pass"

[[policy.pii.mask]]
columns = ["*.email"]
as      = "pseudonym"

[[policy.pii.mask]]
columns = ["public.customers.ssn"]
as      = { partial = { keep_last = 4 } }

[[policy.pii.mask]]
detect = ["pan", "jwt", "private_key"]
as     = "redact"
TOML
    mkdir -m 700 state
    show "cat narrows.toml"
    echo "\$ narrows vault set shop-db/app -c narrows.toml     # the database's password, from standard input"
    printf '%s' "$db_password" | narrows vault set shop-db/app -c narrows.toml
    show "narrows check -c narrows.toml"
    echo "\$ narrows run -c narrows.toml &"
    narrows run -c narrows.toml >narrows.log 2>&1 &
    processes+=($!)
    until_true "Narrows listens" listens "$port"
}

# A certificate authority and a server certificate for localhost.
make_certificate() {
    quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj '/CN=Narrows demo authority' -keyout ca.key -out ca.pem
    quietly openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=localhost' \
        -keyout narrows.key -out narrows.csr
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >narrows.ext
    quietly openssl x509 -req -in narrows.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
        -extfile narrows.ext -out narrows.pem
    rm ca.key narrows.csr narrows.ext
}

keep() {
    heading "Kept running; end it with Ctrl-C"
    cat <<TEXT
In another terminal:

  cd $folder
  export PATH=$folder/bin:\$PATH
  export PGPASSWORD=\$(narrows token dev --dir issuer --claim repository=acme/shop --expires 1h)
  psql "host=localhost port=$port user=shop-bot dbname=shop sslmode=verify-full sslrootcert=ca.pem"

and beside it:

  narrows tail -f -c $folder/narrows.toml
TEXT
    # Until interrupted, or until one of the three ends by itself.
    wait -n "${processes[@]}" || true
    fail "one of the programs has ended; their logs are above"
}

prepare_shell() {
    cd "$folder"
    mkdir bin && ln -s "$narrows_binary" bin/narrows
    export PATH="$folder/bin:$PATH" PAGER=cat PSQLRC=/dev/null
}

# Prints a command and runs it.
show() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

# expect TEXT COMMAND: as show; the command must succeed and TEXT must be in its output.
expect() {
    printf '\n$ %s\n' "$2"
    local status=0
    eval "$2" >output 2>&1 || status=$?
    cat output
    [ $status = 0 ] || fail "this should have succeeded; exit code $status"
    heard "$1" "its output says so"
}

# heard TEXT WHY: TEXT was in the output of the last command.
heard() {
    grep -qF -- "$1" output || fail "no \"$1\" in the output: $2"
}

# The command must fail: it is refused.
refuse() {
    printf '\n$ %s\n' "$1"
    if eval "$1" >output 2>&1; then
        cat output
        fail "this should have been refused"
    fi
    cat output
}

until_true() {
    local what=$1 deadline=$((SECONDS + 30))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "not within 30 s: $what"
        for process in "${processes[@]}"; do
            kill -0 "$process" 2>/dev/null || fail "a program ended before this was so: $what"
        done
        sleep 0.1
    done
}

waits_for_approval() {
    narrows approvals ls -c narrows.toml | grep -q apr_
}

listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
    local candidate
    for _ in $(seq 100); do
        candidate=$((20000 + RANDOM % 12000))
        if ! listens "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no free port found"
}

quietly() {
    "$@" >quiet.log 2>&1 || {
        cat quiet.log >&2
        fail "failed: $*"
    }
}

# Debian keeps the server's programs out of PATH, a directory a version.
find_programs() {
    local install='install it (Debian: apt install postgresql openssl)'
    for program in psql openssl; do
        command -v $program >/dev/null || fail "$program is not there; $install"
    done
    local initdb
    initdb=$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
    initdb=${initdb:-$(command -v initdb || true)}
    [ -n "$initdb" ] || fail "PostgreSQL's initdb is not there; $install"
    pg_bin=$(dirname "$initdb")
}

heading() { printf '\n\033[1m== %s\033[0m\n' "$*" | plain; }
tell() { printf '%s\n' "$*" | fold -s -w 100; }
plain() { if [ -n "${NO_COLOR:-}" ]; then sed 's/\x1b\[[0-9;]*m//g'; else cat; fi; }

fail() {
    printf '\ndemo: %s\n' "$*" >&2
    for log in postgres issuer narrows; do
        if [ -s "$folder/$log.log" ]; then
            printf '\n-- last lines of %s.log\n' "$log" >&2
            tail -n 8 "$folder/$log.log" >&2
        fi
    done
    exit 1
}

# Narrows first, so that it says farewell; then the issuer and the server.
cleanup() {
    for ((n = ${#processes[@]} - 1; n > 0; n--)); do
        kill -TERM "${processes[n]}" 2>/dev/null || true
    done
    # To PostgreSQL, the first one started, TERM means to wait for its clients.
    [ ${#processes[@]} = 0 ] || kill -INT "${processes[0]}" 2>/dev/null || true
    for process in "${processes[@]}"; do
        for _ in $(seq 50); do
            kill -0 "$process" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$process" 2>/dev/null || true
    done
    cd /
    rm -rf "$folder"
}

main
