"""The servers of one relay measurement: PostgreSQL, and every proxy that stands before it.

Everything lives in one temporary directory, listens on loopback and dies with this process.
Knows how to start, find and stop each server; knows nothing of what is measured.
"""

import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PASSWORD = "relay-bench"
TICKS = os.sysconf("SC_CLK_TCK")


class Missing(Exception):
    """A server whose program is not on this machine; its column is left out."""


class Failed(Exception):
    """A server that did not come up."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def service_user():
    """PostgreSQL and PgBouncer refuse to run as root; None means that we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failed("run this as a user other than root: there is neither `postgres` nor `nobody`")


def find_program(name, *folders):
    for folder in folders:
        if (Path(folder) / name).exists():
            return str(Path(folder) / name)
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed")
    return found


def postgres_folder():
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if not folders:
        raise Failed("no PostgreSQL server below /usr/lib/postgresql; install `postgresql`")
    return folders[-1]


def die_with_parent(with_signal):
    """A child that outlives a killed parent would keep its port and its CPU time."""
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, with_signal)


class Server:
    """One running process tree, and where clients reach it."""

    def __init__(self, name, command, folder, stop_signal=signal.SIGTERM, demote=True, env=None):
        self.name = name
        self.log = folder / f"{name}.log"
        self.stop_signal = stop_signal
        user = service_user() if demote else None
        who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                env={**os.environ, **(env or {})}, preexec_fn=die_with_parent(stop_signal), **who,
            )

    def check(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")

    def log_tail(self):
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_seconds(self):
        return tree_cpu_seconds(self.process.pid)


def tree_cpu_seconds(pid):
    """User and system time of a process, its threads, its children, and children it has reaped."""
    stats = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            # After the command's name: state, ppid, .. utime stime cutime cstime are 11 to 14.
            stats[int(entry)] = (int(fields[1]), sum(int(t) for t in fields[11:15]))
    total, wanted = 0, [pid]
    while wanted:
        current = wanted.pop()
        if current in stats:
            total += stats[current][1]
        wanted.extend(child for child, (parent, _) in stats.items() if parent == current)
    return total / TICKS


class Place:
    """Where a client connects: port, user, password, TLS."""

    def __init__(self, port, tls, user="bench", password=PASSWORD):
        self.port, self.tls, self.user, self.password = port, tls, user, password

    def env(self):
        return {
            **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": self.user,
            "PGPASSWORD": self.password, "PGDATABASE": "bench",
            "PGSSLMODE": "require" if self.tls else "disable", "PGGSSENCMODE": "disable",
            "PGCHANNELBINDING": "disable",
        }


class Stand:
    """All servers of one run, in one directory."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.bin = postgres_folder()
        self.running = []
        self.certificate()

    def stop(self):
        for server in reversed(self.running):
            server.stop()
        self.running = []

    def start(self, *args, **kwargs):
        server = Server(*args, **kwargs)
        self.running.append(server)
        return server

    def own(self, *paths):
        """Hands files to the user that servers run as."""
        user = service_user()
        for path in paths if user else ():
            os.chown(path, user.pw_uid, user.pw_gid)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        self.own(path)
        return path

    def certificate(self):
        self.cert, self.key = self.folder / "server.pem", self.folder / "server.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.key, "-out", self.cert],
            check=True, capture_output=True,
        )
        self.key.chmod(0o600)
        self.own(self.folder, self.cert, self.key)

    def await_login(self, server, place, seconds=30):
        psql = [find_program("psql"), "-XqAtc", "SELECT 1"]
        last = ""
        for _ in range(seconds * 10):
            server.check()
            tried = subprocess.run(psql, env=place.env(), capture_output=True, text=True)
            if tried.stdout.strip() == "1":
                return
            last = tried.stderr
            time.sleep(0.1)
        raise Failed(f"{server.name} takes no login: {last}\n{server.log_tail()}")

    def postgres(self):
        """Starts PostgreSQL; returns the server, and its places without and with TLS."""
        pgdata, password = self.folder / "pgdata", self.write("password", PASSWORD)
        user = service_user()
        who = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        subprocess.run(
            [self.bin / "initdb", "-D", pgdata, "-U", "bench", "--pwfile", password, "-E", "UTF8",
             "--locale=C", "--auth=scram-sha-256", "--no-sync"],
            check=True, capture_output=True, cwd=self.folder, **who,
        )
        port = free_port()
        settings = {
            "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
            "max_connections": 200, "shared_buffers": "256MB", "fsync": "off", "ssl": "on",
            "ssl_cert_file": self.cert, "ssl_key_file": self.key, "log_statement": "none",
        }
        command = [self.bin / "postgres", "-D", pgdata]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        server = self.start("postgres", command, self.folder, stop_signal=signal.SIGINT)
        plain = Place(port, tls=False)
        subprocess_env = {**plain.env(), "PGDATABASE": "postgres"}
        self.await_login(server, _Fixed(subprocess_env))
        psql = [find_program("psql"), "-Xqc", "CREATE DATABASE bench"]
        subprocess.run(psql, env=subprocess_env, check=True)
        self.postgres_port = port
        return server, plain, Place(port, tls=True)

    def pgbouncer(self, tls):
        program = find_program("pgbouncer", "/usr/sbin")
        name, port = ("pgbouncer-tls" if tls else "pgbouncer"), free_port()
        users = self.write(f"{name}.users", f'"bench" "{PASSWORD}"\n')
        lines = [
            "[databases]", f"bench = host=127.0.0.1 port={self.postgres_port}", "[pgbouncer]",
            "listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir =",
            "auth_type = scram-sha-256", f"auth_file = {users}", "pool_mode = session",
            "max_client_conn = 200", "default_pool_size = 100", "server_tls_sslmode = disable",
            "log_connections = 0", "log_disconnections = 0", "stats_period = 3600",
            "ignore_startup_parameters = extra_float_digits",
        ]
        if tls:
            lines += ["client_tls_sslmode = require", f"client_tls_key_file = {self.key}",
                      f"client_tls_cert_file = {self.cert}"]
        config = self.write(f"{name}.ini", "\n".join(lines) + "\n")
        server = self.start(name, [program, config], self.folder)
        place = Place(port, tls)
        self.await_login(server, place)
        return server, place

    def haproxy(self, tls):
        """HAProxy copies bytes; with `tls` they are PostgreSQL's own TLS, which it passes through."""
        program = find_program("haproxy", "/usr/sbin")
        name, port = ("haproxy-tls" if tls else "haproxy"), free_port()
        config = self.write(f"{name}.cfg", "\n".join([
            "global", "  maxconn 1000", "defaults", "  mode tcp", "  timeout connect 5s",
            "  timeout client 1h", "  timeout server 1h", "listen relay",
            f"  bind 127.0.0.1:{port}", f"  server pg 127.0.0.1:{self.postgres_port}",
        ]) + "\n")
        server = self.start(name, [program, "-db", "-f", config], self.folder)
        place = Place(port, tls)
        self.await_login(server, place)
        return server, place

    def narrows(self, program, driver, durability, masks):
        """Narrows with its recording on; there is no other way to run it."""
        port = free_port()
        name = f"narrows-{port}"
        issuer, token = self.issuer(program)
        state = self.folder / name
        state.mkdir()
        self.own(state)
        config = self.write(f"{name}.toml", NARROWS.format(
            name=name, state=state, driver=driver, durability=durability, issuer=issuer,
            port=port, upstream=self.postgres_port, cert=self.cert, key=self.key,
        ) + masks)
        server = self.start(name, [program, "run", "-c", config], self.folder,
                            env={"BENCH_PASSWORD": PASSWORD})
        place = Place(port, tls=True, user="bench", password=token)
        self.await_login(server, place)
        return server, place

    def issuer(self, program):
        """The development issuer, started once; returns its URL and a token of it."""
        if not hasattr(self, "issued"):
            keys = self.folder / "issuer"
            keys.mkdir()
            self.own(keys)
            server = self.start(
                "dev-issuer", [program, "dev-issuer", "--dir", keys, "--listen", "127.0.0.1:0"],
                self.folder)
            for _ in range(100):
                server.check()
                said = re.search(r"http://127\.0\.0\.1:\d+", server.log.read_text())
                if said:
                    break
                time.sleep(0.1)
            else:
                raise Failed(f"dev-issuer names no address:\n{server.log_tail()}")
            token = subprocess.run(
                [program, "token", "dev", "--dir", keys, "--audience", "narrows",
                 "--claim", "repository=acme/shop", "--expires", "60m"],
                check=True, capture_output=True, text=True).stdout.strip()
            self.issued = (said.group(0), token)
        return self.issued


class _Fixed:
    """A place given by its whole environment."""

    def __init__(self, env):
        self._env = env

    def env(self):
        return self._env


NARROWS = """\
[node]
name = "{name}"
state_dir = "{state}"
admin = {{ socket = "{state}/admin.sock" }}
io = {{ driver = "{driver}" }}

[recording]
durability = "{durability}"

[[issuer]]
name = "dev"
issuer = "{issuer}"
audiences = ["narrows"]

[[service_account]]
name = "bench"
match = [ {{ issuer = "dev", claims = {{ repository = "acme/shop" }} }} ]

[[target]]
name = "bench-db"
protocol = "postgres"
address = "127.0.0.1:{upstream}"
tls = {{ mode = "disable" }}

[[listener]]
target = "bench-db"
bind = "127.0.0.1:{port}"
tls = {{ cert = "{cert}", key = "{key}" }}

[[connection]]
service_account = "bench"
target = "bench-db"
credential = {{ username = "bench", password = {{ env = "BENCH_PASSWORD" }} }}
policies = ["reads"]

[policy.reads]
default = "deny"
unknown = "deny"

[[policy.reads.rule]]
id = "reads"
when = {{ effects.only = ["read", "copy_out", "session_set", "txn"] }}
action = "allow"
"""

COLUMNS_MASKED = """
[[policy.reads.mask]]
columns = ["customers.name", "customers.email", "customers.phone"]
as = "redact"
"""

SEARCHED = """
[[policy.reads.mask]]
detect = [
    "email", "url_credentials", "pan", "us_ssn", "phone", "iban", "jwt", "aws_key", "github_token",
    "gitlab_token", "slack_token", "stripe_key", "google_key", "npm_token", "pypi_token",
    "sendgrid_key", "hf_token", "digitalocean_token", "shopify_token", "vault_token", "openai_key",
    "anthropic_key", "private_key",
]
as = "redact"
"""


def on_signal(number, _frame):
    sys.exit(128 + number)
