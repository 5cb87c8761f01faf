// pgjdbc: the held statements of ../README.md.

import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;

import org.postgresql.PGConnection;

public class Held extends Bot {
    static void refused(String words, Action action) throws Exception {
        fails("42501", words, action);
    }

    /** The price that it has then; what the driver was told meanwhile, in `heard`. */
    static String update(Connection c, String word, String price, StringBuilder heard) throws SQLException {
        String sql = "UPDATE products SET price = ? WHERE id = ? RETURNING price /* " + word + " */";
        try (PreparedStatement s = c.prepareStatement(sql)) {
            s.setBigDecimal(1, new BigDecimal(price));
            s.setInt(2, 1);
            try (ResultSet r = s.executeQuery()) {
                r.next();
                for (SQLWarning w = s.getWarnings(); w != null; w = w.getNextWarning()) {
                    heard.append(w.getMessage());
                }
                return r.getString(1);
            }
        }
    }

    static String insert(Connection c) throws SQLException {
        String sql = "INSERT INTO products (sku, name, price) VALUES (?, 'later', 1) RETURNING sku";
        try (PreparedStatement s = c.prepareStatement(sql)) {
            s.setString(1, "later-java");
            try (ResultSet r = s.executeQuery()) {
                r.next();
                return r.getString(1);
            }
        }
    }

    static String one(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(sql)) {
            r.next();
            return r.getString(1);
        }
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = connect()) {
            StringBuilder heard = new StringBuilder();
            that(update(c, "approve", "41.50", heard).equals("41.50"), "the result");
            that(heard.toString().startsWith("narrows: waiting for approval apr_"), heard);
            ok("approved");
            refused("not on a Friday", () -> update(c, "reject", "0", heard));
            that(one(c, "SELECT price FROM products WHERE id = 1").equals("41.50"), "unchanged");
            ok("rejected");
            again(c);
            transactions(c, heard);
            long rows = c.unwrap(PGConnection.class).getCopyAPI()
                .copyIn("COPY intake FROM STDIN", new StringReader("7\tcopied\n".repeat(2000)));
            that(rows == 2000, rows);
            ok("copied");
            batch(c);
        }
    }

    static void again(Connection c) throws Exception {
        int told = 0;
        while (true) {
            try {
                that(insert(c).equals("later-java"), "the result");
                break;
            } catch (SQLException e) {
                that(e.getMessage().contains("waits as apr_"), e.getMessage());
                told += 1;
            }
        }
        that(told > 0, "approved before it was told to come again");
        refused("waits as apr_", () -> insert(c));
        ok("came again");
    }

    static void transactions(Connection c, StringBuilder heard) throws Exception {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.execute("INSERT INTO intake VALUES (1, 'java')");
            that(update(c, "approve", "42.50", heard).equals("42.50"), "the result");
            c.commit();
            s.execute("INSERT INTO intake VALUES (2, 'java')");
            refused("not on a Friday", () -> update(c, "reject", "0", heard));
            c.rollback();
        }
        c.setAutoCommit(true);
        that(one(c, "SELECT count(*) || ' ' || max(n) FROM intake WHERE label = 'java'").equals("1 1"), "kept");
        ok("in a transaction");
    }

    /** Sent in one go, with a Sync behind all: the one in the middle waits. */
    static void batch(Connection c) throws Exception {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.addBatch("INSERT INTO intake VALUES (3, 'batch')");
            s.addBatch("UPDATE products SET price = 43.50 WHERE id = 1 /* approve */");
            s.addBatch("INSERT INTO intake VALUES (4, 'batch')");
            int[] counts = s.executeBatch();
            that(counts.length == 3 && counts[1] == 1, counts.length);
        }
        c.commit();
        c.setAutoCommit(true);
        that(one(c, "SELECT count(*) FROM intake WHERE label = 'batch'").equals("2"), "both");
        ok("in a batch");
    }
}
