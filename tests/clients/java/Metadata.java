// Asks pgjdbc for all that DatabaseMetaData tells, so that its statements are sent.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.SQLException;

public class Metadata extends Bot {
    static void drain(ResultSet rows) throws SQLException {
        while (rows.next()) {
            for (int at = 1; at <= rows.getMetaData().getColumnCount(); at++) rows.getObject(at);
        }
        rows.close();
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = connect("ApplicationName", System.getenv("PGAPPNAME"))) {
            DatabaseMetaData data = connection.getMetaData();
            drain(data.getSchemas());
            drain(data.getCatalogs());
            drain(data.getTableTypes());
            drain(data.getTypeInfo());
            drain(data.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}));
            drain(data.getTables(null, null, "order%", null));
            drain(data.getColumns(null, "public", "%", "%"));
            drain(data.getColumns(null, null, "products", "p%"));
            drain(data.getPrimaryKeys(null, "public", "order_items"));
            drain(data.getImportedKeys(null, "public", "order_items"));
            drain(data.getExportedKeys(null, "public", "customers"));
            drain(data.getCrossReference(null, "public", "orders", null, "public", "order_items"));
            drain(data.getIndexInfo(null, "public", "customers", false, true));
            drain(data.getBestRowIdentifier(null, "public", "orders", DatabaseMetaData.bestRowSession, true));
            drain(data.getVersionColumns(null, "public", "orders"));
            drain(data.getProcedures(null, "public", "%"));
            drain(data.getFunctions(null, "pg_catalog", "json%"));
            drain(data.getFunctionColumns(null, "pg_catalog", "lower%", "%"));
            drain(data.getTablePrivileges(null, "public", "products"));
            drain(data.getColumnPrivileges(null, "public", "products", "%"));
            drain(data.getUDTs(null, "public", "%", null));
            drain(data.getClientInfoProperties());
            data.getSQLKeywords();
            data.getMaxColumnNameLength();
        }
        System.out.println("ok metadata");
    }
}
