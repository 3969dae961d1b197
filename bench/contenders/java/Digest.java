import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;

/** Every group as one canonical line, and the SHA-256 of all of them in order: the same as bench/digest.py. */
final class Digest {
    private final Map<String, long[]> lines = new TreeMap<>();

    static String of(Contender contender) throws Exception {
        Digest digest = new Digest();
        contender.each(digest::add);
        return digest.finish();
    }

    private void add(byte[] key, long hour, String rollup, String name, long... measures) {
        HexFormat hex = HexFormat.of();
        String line = hex.formatHex(key) + ' ' + hour + ' ' + rollup + ' ' + hex.formatHex(utf8(name)) + ' ';
        lines.merge(line, measures, (a, b) -> {  // two spellings on the wire of one text
            long[] sum = a.clone();
            for (int i = 0; i < sum.length; i++) {
                sum[i] += b[i];
            }
            return sum;
        });
    }

    private String finish() throws Exception {
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        for (Map.Entry<String, long[]> line : lines.entrySet()) {
            StringBuilder text = new StringBuilder(line.getKey());
            for (int i = 0; i < line.getValue().length; i++) {
                text.append(i == 0 ? "" : ",").append(line.getValue()[i]);
            }
            sha.update(text.append('\n').toString().getBytes(StandardCharsets.US_ASCII));
        }
        return HexFormat.of().formatHex(sha.digest()) + ' ' + lines.size();
    }

    /** Lone surrogates become U+FFFD; getBytes would write '?'. */
    private static byte[] utf8(String text) {
        StringBuilder out = new StringBuilder(text.length());
        text.codePoints().forEach(point -> out.appendCodePoint(point >= 0xD800 && point <= 0xDFFF ? 0xFFFD : point));
        return out.toString().getBytes(StandardCharsets.UTF_8);
    }
}
