// pgjdbc: the checks of ../README.md.

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public class Checks extends Bot {
    static final String REFUSED = System.getenv("REFUSED_SQL");

    static int number(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
            r.next();
            return r.getInt(1);
        }
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = connect()) {
            that(number(c, "SELECT 1 + 1") == 2, "arithmetic");
            ok("connect");
            parameters(c);
            errors(c);
            batches(c);
            copies(c);
            cursors(c);
            cancels(c);
            if (REFUSED != null) refusals(c);
        }
        try (Connection c = connect("preferQueryMode", "simple")) {
            that(number(c, "SELECT 20 + 1") == 21, "simple mode");
            ok("simple query mode");
        }
        listens();
        pool();
    }

    static void parameters(Connection c) throws Exception {
        // From the fifth use on the driver names the statement and asks for binary results.
        try (PreparedStatement s = c.prepareStatement(
                "SELECT ?::int8, ?::text, ?::float8, ?::bool, ?::bytea, ?::text, ?::numeric")) {
            for (int n = 0; n < 20; n++) {
                s.setLong(1, 1L << 40);
                s.setString(2, "naïve ☎ 漢字 🦀" + n);
                s.setDouble(3, 1.5);
                s.setBoolean(4, true);
                s.setBytes(5, new byte[] {0, -1, 39, 92});
                s.setString(6, null);
                s.setBigDecimal(7, new java.math.BigDecimal("12.50"));
                try (ResultSet r = s.executeQuery()) {
                    that(r.next() && r.getLong(1) == 1L << 40, n);
                    that(r.getString(2).equals("naïve ☎ 漢字 🦀" + n), r.getString(2));
                    that(r.getDouble(3) == 1.5 && r.getBoolean(4), n);
                    that(Arrays.equals(r.getBytes(5), new byte[] {0, -1, 39, 92}), n);
                    that(r.getString(6) == null && r.wasNull(), n);
                    that(r.getBigDecimal(7).doubleValue() == 12.5, n);
                }
            }
        }
        ok("binary and text");
        ok("nulls");
        ok("unicode");
        try (PreparedStatement s = c.prepareStatement("SELECT name FROM products WHERE id = ?")) {
            for (int n = 0; n < 500; n++) {
                s.setInt(1, n % 40 + 1);
                try (ResultSet r = s.executeQuery()) {
                    that(r.next(), n);
                }
            }
        }
        ok("prepared");
        try (PreparedStatement s = c.prepareStatement("SELECT length(?)")) {
            String large = "x".repeat(5 * 1024 * 1024);
            s.setString(1, large);
            try (ResultSet r = s.executeQuery()) {
                that(r.next() && r.getInt(1) == large.length(), "length");
            }
        }
        ok("large parameter");
        for (int n = 0; n < 1000; n++) that(number(c, "SELECT " + n) == n, n);
        ok("many statements");
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TEMP TABLE IF NOT EXISTS twice (id int)");
            s.execute("CREATE TEMP TABLE IF NOT EXISTS twice (id int)");
            that(s.getWarnings().getMessage().contains("already exists"), s.getWarnings());
        }
        ok("notice");
    }

    static void errors(Connection c) throws Exception {
        fails("42P01", () -> number(c, "SELECT * FROM nowhere"));
        that(number(c, "SELECT 1") == 1, "after an error");
        ok("error outside a transaction");
        c.setAutoCommit(false);
        fails("22012", () -> number(c, "SELECT 1 / 0"));
        fails("25P02", () -> number(c, "SELECT 1"));
        c.rollback();
        that(number(c, "SELECT 1") == 1, "after a rollback");
        c.rollback();
        c.setAutoCommit(true);
        ok("error in a transaction");
    }

    static void batches(Connection c) throws Exception {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TEMP TABLE batch (id int, label text) ON COMMIT DROP");
        }
        try (PreparedStatement s = c.prepareStatement("INSERT INTO batch VALUES (?, ?)")) {
            for (int n = 0; n < 3000; n++) {
                s.setInt(1, n);
                s.setString(2, "label " + n);
                s.addBatch();
            }
            that(Arrays.stream(s.executeBatch()).sum() == 3000, "batch");
        }
        that(number(c, "SELECT count(*) FROM batch") == 3000, "count");
        c.commit();
        c.setAutoCommit(true);
        ok("pipeline");
    }

    static void copies(Connection c) throws Exception {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TEMP TABLE scratch (id int, label text) ON COMMIT DROP");
        }
        StringBuilder rows = new StringBuilder();
        for (int n = 0; n < 10000; n++) rows.append(n).append("\tlabel ").append(n).append('\n');
        var copy = c.unwrap(PGConnection.class).getCopyAPI();
        that(copy.copyIn("COPY scratch FROM STDIN", new StringReader(rows.toString())) == 10000, "in");
        StringWriter out = new StringWriter();
        that(copy.copyOut("COPY scratch TO STDOUT", out) == 10000, "out");
        that(out.toString().equals(rows.toString()), "what went in comes out");
        c.commit();
        c.setAutoCommit(true);
        ok("copy text");
    }

    static void cursors(Connection c) throws Exception {
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("SELECT n FROM generate_series(1, 1000) n")) {
            s.setFetchSize(50);
            long sum = 0;
            try (ResultSet r = s.executeQuery()) {
                while (r.next()) sum += r.getInt(1);
            }
            that(sum == 500500, sum);
        }
        ok("fetch size");
        try (Statement s = c.createStatement()) {
            s.setFetchSize(2000);
            long bytes = 0;
            try (ResultSet r = s.executeQuery(
                    "SELECT repeat('x', 1000) FROM generate_series(1, 100000)")) {
                while (r.next()) bytes += r.getString(1).length();
            }
            that(bytes == 100_000_000L, bytes);
        }
        c.commit();
        c.setAutoCommit(true);
        ok("100 MB");
    }

    static void cancels(Connection c) throws Exception {
        try (Statement s = c.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(300);
                    s.cancel();
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            });
            canceller.start();
            fails("57014", () -> s.executeQuery("SELECT pg_sleep(30)"));
            canceller.join();
            s.setQueryTimeout(1);
            fails("57014", () -> s.executeQuery("SELECT pg_sleep(30)"));
        }
        that(number(c, "SELECT 1") == 1, "after a cancel");
        ok("cancel");
    }

    static void listens() throws Exception {
        String channel = "channel_" + ProcessHandle.current().pid();
        try (Connection a = connect(); Connection b = connect()) {
            try (Statement s = a.createStatement()) {
                s.execute("LISTEN " + channel);
            }
            try (Statement s = b.createStatement()) {
                s.execute("NOTIFY " + channel + ", 'ping'");
            }
            PGNotification[] heard = a.unwrap(PGConnection.class).getNotifications(10_000);
            that(heard != null && heard.length == 1, "one notification");
            that(heard[0].getParameter().equals("ping"), heard[0].getParameter());
            that(heard[0].getPID() == b.unwrap(PGConnection.class).getBackendPID(), "the sender");
        }
        ok("listen and notify");
    }

    static void pool() throws Exception {
        var threads = Executors.newFixedThreadPool(10);
        List<Future<Integer>> sums = new ArrayList<>();
        for (int me = 0; me < 10; me++) {
            Callable<Integer> work = () -> {
                int sum = 0;
                try (Connection c = connect()) {
                    for (int n = 0; n < 50; n++) sum += number(c, "SELECT " + n);
                }
                return sum;
            };
            sums.add(threads.submit(work));
        }
        for (Future<Integer> sum : sums) that(sum.get() == 1225, sum.get());
        threads.shutdown();
        ok("ten connections");
    }

    static void refusals(Connection c) throws Exception {
        for (int n = 0; n < 10; n++) {
            fails("42501", () -> {
                try (PreparedStatement s = c.prepareStatement(REFUSED)) {
                    s.execute();
                }
            });
            that(number(c, "SELECT 1") == 1, "after a refusal");
        }
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TEMP TABLE kept (id int)");
            fails("42501", () -> s.execute(REFUSED));
            fails("25P02", () -> s.execute("SELECT 1"));
        }
        c.commit();
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TEMP TABLE kept (id int)");
            s.addBatch("INSERT INTO kept VALUES (1)");
            s.addBatch(REFUSED);
            s.addBatch("INSERT INTO kept VALUES (2)");
            fails("42501", s::executeBatch);
        }
        c.rollback();
        that(number(c, "SELECT count(*) FROM pg_class WHERE relname = 'kept'") == 0, "nothing kept");
        c.commit();
        c.setAutoCommit(true);
        ok("refused");
    }
}
