import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.BufferedMutator;
import org.apache.hadoop.hbase.client.Connection;
import org.apache.hadoop.hbase.client.ConnectionFactory;
import org.apache.hadoop.hbase.client.Get;
import org.apache.hadoop.hbase.client.Put;
import org.apache.hadoop.hbase.client.Result;
import org.apache.hadoop.hbase.client.ResultScanner;
import org.apache.hadoop.hbase.client.Scan;
import org.apache.hadoop.hbase.client.Table;

/**
 * HBase's own client, straight to the region server: HBaseClient put|mutator HOST PORT TABLE FILE, host and port being
 * ZooKeeper's. Answers the lines of bench/contenders/hbase_client.py, and reads its file.
 *
 * put: Table.put with lists of 5,000. mutator: BufferedMutator as it comes, which its documentation names for many puts.
 */
public final class HBaseClient {
    private static final byte[] FAMILY = {'d'};
    private static final int PUT_ROWS = 5_000;
    private static final int GET_ROWS = 1_000;

    private final List<byte[]> rows = new ArrayList<>();
    private final List<byte[]> values = new ArrayList<>();
    private byte[] qualifier;

    private HBaseClient() {}

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err);  // whoever logs must not answer for us
        boolean mutator = arguments[0].equals("mutator");
        HBaseClient load = new HBaseClient();
        load.read(Path.of(arguments[4]));
        Configuration settings = HBaseConfiguration.create();
        settings.set("hbase.zookeeper.quorum", arguments[1]);
        settings.set("hbase.zookeeper.property.clientPort", arguments[2]);
        TableName name = TableName.valueOf(arguments[3]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Connection connection = ConnectionFactory.createConnection(settings);
                Table table = connection.getTable(name);
                BufferedMutator buffered = connection.getBufferedMutator(name)) {
            Result[] answer = {};
            out.println("ready");
            for (String line; (line = in.readLine()) != null; ) {
                String[] words = line.split(" ");
                switch (words[0]) {
                    case "prepare" -> {
                        answer = new Result[0];
                        System.gc();
                        out.println("prepared");
                    }
                    case "put" -> {
                        long timestamp = Long.parseLong(words[1]);
                        if (mutator) {
                            load.mutate(buffered, timestamp);
                        } else {
                            load.put(table, timestamp);
                        }
                        out.println("done");
                    }
                    case "get" -> {
                        answer = load.get(table);
                        out.println("done");
                    }
                    case "got" -> out.println("digest " + digest(Arrays.asList(answer)));
                    case "scan" -> {
                        try (ResultScanner scanner = table.getScanner(new Scan().setCaching(1000))) {
                            out.println("digest " + digest(scanner));
                        }
                    }
                    default -> throw new IllegalArgumentException(line);
                }
            }
        }
    }

    private void read(Path file) throws Exception {
        try (DataInputStream in = new DataInputStream(new java.io.BufferedInputStream(Files.newInputStream(file)))) {
            qualifier = in.readNBytes(in.readUnsignedShort());
            while (true) {
                int row = in.readUnsignedShort();
                int value = in.readInt();
                rows.add(in.readNBytes(row));
                values.add(in.readNBytes(value));
            }
        } catch (EOFException end) {
            return;
        }
    }

    private Put cell(int at, long timestamp) {
        return new Put(rows.get(at)).addColumn(FAMILY, qualifier, timestamp, values.get(at));
    }

    private void put(Table table, long timestamp) throws Exception {
        for (int at = 0; at < rows.size(); at += PUT_ROWS) {
            int end = Math.min(rows.size(), at + PUT_ROWS);
            List<Put> puts = new ArrayList<>(end - at);
            for (int i = at; i < end; i++) {
                puts.add(cell(i, timestamp));
            }
            table.put(puts);
        }
    }

    private void mutate(BufferedMutator mutator, long timestamp) throws Exception {
        for (int i = 0; i < rows.size(); i++) {
            mutator.mutate(cell(i, timestamp));
        }
        mutator.flush();
    }

    private Result[] get(Table table) throws Exception {
        Result[] found = new Result[rows.size()];
        for (int at = 0; at < rows.size(); at += GET_ROWS) {
            int end = Math.min(rows.size(), at + GET_ROWS);
            List<Get> gets = new ArrayList<>(end - at);
            for (int i = at; i < end; i++) {
                gets.add(new Get(rows.get(i)).addColumn(FAMILY, qualifier));
            }
            System.arraycopy(table.get(gets), 0, found, at, end - at);
        }
        return found;
    }

    private static String digest(Iterable<Result> results) throws Exception {
        List<Result> sorted = new ArrayList<>();
        results.forEach(sorted::add);
        sorted.removeIf(Result::isEmpty);
        sorted.sort((a, b) -> Arrays.compareUnsigned(a.getRow(), b.getRow()));
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        for (Result result : sorted) {
            byte[] row = result.getRow();
            byte[] value = result.value();
            sha.update((row.length + " " + value.length + " ").getBytes(StandardCharsets.US_ASCII));
            sha.update(row);
            sha.update(value);
        }
        return HexFormat.of().formatHex(sha.digest()) + ' ' + sorted.size();
    }
}
