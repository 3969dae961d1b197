import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** A contender over the corpus in memory, told what to do line by line (bench/child.py): Kernel stream|flat CORPUS. */
public final class Kernel {
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

    private Kernel() {}

    public static void main(String[] arguments) throws Exception {
        Contender contender = arguments[0].equals("flat") ? new Flat() : new Streaming();
        byte[] corpus = Files.readAllBytes(Path.of(arguments[1]));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.out.println("ready");
        for (String line; (line = in.readLine()) != null; ) {
            switch (line) {
                case "prepare" -> {
                    contender.clear();
                    System.gc();
                    System.out.println("prepared");
                }
                case "round" -> {
                    round(contender, corpus);
                    System.out.println("done");
                }
                case "digest" -> System.out.println("digest " + Digest.of(contender) + ' ' + contender.unreadable());
                default -> throw new IllegalArgumentException(line);
            }
        }
    }

    private static void round(Contender contender, byte[] corpus) {
        for (int at = 0; at < corpus.length; ) {
            int length = (int) INT.get(corpus, at);
            contender.absorb(corpus, at + 12, length, (long) LONG.get(corpus, at + 4));
            at += 12 + length;
        }
    }
}
