// pgjdbc: how each of the programs here connects, and what it says.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

abstract class Bot {
    /** `extra`: further properties, names and values in turn. */
    static Connection connect(String... extra) throws SQLException {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT")
            + "/" + System.getenv("PGDATABASE");
        Properties p = new Properties();
        p.setProperty("user", System.getenv("PGUSER"));
        p.setProperty("password", System.getenv("PGPASSWORD"));
        p.setProperty("sslmode", "verify-full");
        p.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        for (int i = 0; i < extra.length; i += 2) p.setProperty(extra[i], extra[i + 1]);
        return DriverManager.getConnection(url, p);
    }

    static void ok(String check) {
        System.out.println("ok " + check);
    }

    static void that(boolean fact, Object shown) {
        if (!fact) throw new AssertionError(String.valueOf(shown));
    }

    interface Action {
        void run() throws Exception;
    }

    static void fails(String state, Action action) throws Exception {
        fails(state, "", action);
    }

    /** The action fails in this state, for a reason that holds these words. */
    static void fails(String state, String words, Action action) throws Exception {
        try {
            action.run();
        } catch (SQLException e) {
            that(state.equals(e.getSQLState()), e.getSQLState() + ": " + e.getMessage());
            that(e.getMessage().contains(words), e.getMessage());
            return;
        }
        throw new AssertionError("passes, where " + state + " '" + words + "' was due");
    }
}
