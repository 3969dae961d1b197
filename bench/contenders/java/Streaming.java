import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * The consumer as one writes it in Java: DataInputStream over the payload, readUTF for every text, records for what is
 * kept, HashMaps of counters. Every field is read and every fixed value checked, as our decoder does.
 *
 * One map of (app, hour), and in it a map a rollup, so that inner keys are bare strings: flat keys of (app, hour, name)
 * hash the API key again for every counter and were slower.
 */
final class Streaming implements Contender {
    record Count(String name, int count) {}

    record Timed(String name, long duration) {}

    record Session(String version, long start, long duration, String locale, int views, List<Count> counts,
            List<Timed> timed, int errors) {}

    record Key(String app, long hour) {}

    static final class Number {
        long value;
    }

    static final class Event {
        long count, sessions, duration, last;
    }

    static final class Block {
        long sessions, newUsers, ended, duration, views, events, errors;
        final Map<String, Number> versions = new HashMap<>(), countries = new HashMap<>(), models = new HashMap<>();
        final Map<String, Event> named = new HashMap<>();
    }

    private Map<Key, Block> blocks = new HashMap<>();
    private final CRC32 crc = new CRC32();
    private long unreadable, serial;

    @Override
    public void clear() {
        blocks = new HashMap<>();
        unreadable = 0;
    }

    @Override
    public long unreadable() {
        return unreadable;
    }

    @Override
    public void absorb(byte[] bytes, int offset, int length, long received) {
        try {
            read(bytes, offset, length, received);
        } catch (IOException error) {
            unreadable++;
        }
    }

    private void read(byte[] bytes, int offset, int length, long received) throws IOException {
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes, offset, length));
        int protocol = in.readUnsignedShort();
        check(Rules.known(protocol));
        boolean listed = protocol >= 22, recent = protocol >= 29;
        int left = 0;
        if (listed) {
            check(length >= 6);
            crc.reset();
            crc.update(bytes, offset, length - 4);
            int end = offset + length;
            int want = (bytes[end - 4] << 24) | (bytes[end - 3] & 255) << 16 | (bytes[end - 2] & 255) << 8 | (bytes[end - 1] & 255);
            check((int) crc.getValue() == want);
            left = 4;
        }
        in.readUnsignedShort();
        if (protocol >= 15) {
            in.readLong();
            for (int n = in.readUnsignedShort(); n > 0; n--) {
                in.readByte();
                in.readLong();
            }
        }
        in.readUnsignedShort();
        in.readUnsignedShort();
        long created = in.readLong();
        String app = in.readUTF();
        check(!app.isEmpty() && app.length() < 256);
        in.readUTF();
        if (listed) {
            for (int n = in.readUnsignedShort(); n > 0; n--) {
                in.readUnsignedShort();
                in.readFully(new byte[in.readUnsignedShort()]);
            }
            check(in.readByte() == 0);
        } else {
            if (protocol == 15) {
                in.readUnsignedShort();
            }
            in.readUTF();
        }
        if (protocol >= 27) {
            bool(in);
        }
        if (recent) {
            bool(in);
        }
        long firstStart = in.readLong();
        in.readLong();
        String model = null;
        for (int n = in.readUnsignedShort(); n > 0; n--) {
            String name = in.readUTF();
            String value = in.readUTF();
            if (model == null && name.equals("device.model")) {
                model = value;
            }
            check(!recent || in.readByte() == 0);
        }
        if (protocol >= 24) {
            lists(in);
            optional(in);
        }
        check(protocol != 25 || in.readByte() == 0);
        if (protocol >= 25) {
            lists(in);
        }
        if (recent) {
            for (int n = in.readUnsignedShort(); n > 0; n--) {
                in.readUTF();
                pairs(in, false);
            }
        }
        if (protocol == 30) {
            in.readUTF();
        }
        int n = in.readUnsignedShort();
        List<Session> sessions = new ArrayList<>(n);
        for (; n > 0; n--) {
            sessions.add(session(in, protocol));
        }
        check(!recent || in.readUnsignedShort() == 0);
        check(in.available() == left);
        count(app, created, protocol, firstStart, model == null ? "" : model, sessions, Rules.received(received));
    }

    private static Session session(DataInputStream in, int protocol) throws IOException {
        boolean old = protocol == 8, listed = protocol >= 22, recent = protocol >= 29;
        check(old || in.readUnsignedShort() == Rules.recordVersion(protocol));
        String version = in.readUTF();
        long start = in.readLong(), duration = in.readLong();
        if (!old) {
            in.readLong();
        }
        if (protocol == 30) {
            bool(in);
            in.readByte();
            optional(in);
            optional(in);
            pairs(in, false);
        }
        if (recent) {
            pairs(in, true);
        }
        String locale = "";
        if (!old) {
            locale = in.readUTF();
            in.readUTF();
            in.readByte();
            if (protocol == 30) {
                in.readByte();
            }
        }
        in.readUTF();
        if (bool(in)) {
            in.readDouble();
            in.readDouble();
            in.readFloat();
        }
        int views = in.readInt();
        in.readByte();
        if (!old) {
            in.readByte();
            in.readByte();
            if (bool(in)) {
                in.readLong();
            }
        }
        int n = in.readUnsignedShort();
        List<Count> counts = new ArrayList<>(n);
        for (; n > 0; n--) {
            counts.add(new Count(in.readUTF(), in.readInt()));
        }
        List<Timed> timed = new ArrayList<>();
        for (n = in.readUnsignedShort(); n > 0; n--) {
            if (listed) {
                in.readUnsignedShort();
            }
            String name = in.readUTF();
            pairs(in, false);
            if (!old) {
                in.readLong();
                long spent = in.readLong();
                if (spent > 0) {
                    timed.add(new Timed(name, spent));
                }
            }
        }
        bool(in);
        int errors = in.readInt();
        for (n = in.readUnsignedShort(); n > 0; n--) {
            if (listed) {
                in.readUnsignedShort();
            }
            in.readLong();
            in.readUTF();
            in.readUTF();
            in.readUTF();
            if (protocol >= 26) {
                in.readByte();
                int tag = in.readByte();
                check(tag == 0 || tag == 2);
                if (tag == 2) {
                    int size = in.readInt();
                    check(size >= 0 && size <= in.available());
                    in.readFully(new byte[size]);
                }
            }
        }
        if (recent) {
            check(in.readInt() == -1 && in.readUnsignedShort() == 0);
        }
        check(in.readUnsignedShort() == 0);
        check(!listed || in.readUnsignedShort() == 0);
        return new Session(version, start, duration, locale, views, counts, timed, errors);
    }

    private void count(String app, long created, int protocol, long firstStart, String model, List<Session> sessions,
            long received) {
        long shift = Rules.shift(created, received, protocol);
        for (int i = 0; i < sessions.size(); i++) {
            Session session = sessions.get(i);
            if (sessions.size() > 1 && superseded(sessions, i)) {
                continue;
            }
            Key key = new Key(app, Rules.hour(session.start, shift, received));
            Block block = blocks.get(key);
            if (block == null) {
                block = new Block();
                blocks.put(key, block);
            }
            serial++;
            block.sessions++;
            if (session.start == firstStart) {
                block.newUsers++;
            }
            if (session.duration >= 0) {
                block.ended++;
                block.duration += Rules.ms(session.duration);
            }
            block.views += Rules.clamp(session.views);
            block.errors += Rules.clamp(session.errors);
            add(block.versions, session.version);
            add(block.countries, country(session.locale));
            add(block.models, model);
            for (Count count : session.counts) {
                Event event = event(block, count.name);
                long occurrences = Rules.clamp(count.count);
                block.events += occurrences;
                event.count += occurrences;
                if (event.last != serial) {  // a name that comes again is one group of the session
                    event.last = serial;
                    event.sessions++;
                }
            }
            for (Timed timed : session.timed) {
                event(block, timed.name).duration += Rules.ms(timed.duration);
            }
        }
    }

    /** Of several records with one start the longest counts (ties: the last; not ended is shortest). */
    private static boolean superseded(List<Session> sessions, int place) {
        Session session = sessions.get(place);
        long duration = Math.max(session.duration, -1);
        for (int other = 0; other < sessions.size(); other++) {
            Session rival = sessions.get(other);
            long its = Math.max(rival.duration, -1);
            if (other != place && rival.start == session.start && (its > duration || (its == duration && other > place))) {
                return true;
            }
        }
        return false;
    }

    private static void add(Map<String, Number> counters, String name) {
        Number number = counters.get(name);
        if (number == null) {
            number = new Number();
            counters.put(name, number);
        }
        number.value++;
    }

    private static Event event(Block block, String name) {
        Event event = block.named.get(name);
        if (event == null) {
            event = new Event();
            block.named.put(name, event);
        }
        return event;
    }

    private static String country(String locale) {
        int from = locale.indexOf('_') + 1;
        if (from == 0) {
            return "";
        }
        int to = locale.indexOf('_', from);
        return to < 0 ? locale.substring(from) : locale.substring(from, to);
    }

    private static boolean bool(DataInputStream in) throws IOException {
        int value = in.readByte();
        check((value & ~1) == 0);
        return value == 1;
    }

    private static void optional(DataInputStream in) throws IOException {
        if (bool(in)) {
            in.readUTF();
        }
    }

    private static void lists(DataInputStream in) throws IOException {
        for (int n = in.readUnsignedShort(); n > 0; n--) {
            in.readUTF();
            for (int m = in.readUnsignedShort(); m > 0; m--) {
                in.readUTF();
            }
        }
    }

    private static void pairs(DataInputStream in, boolean padded) throws IOException {
        for (int n = in.readUnsignedShort(); n > 0; n--) {
            in.readUTF();
            in.readUTF();
            check(!padded || in.readByte() == 0);
        }
    }

    private static void check(boolean holds) throws IOException {
        if (!holds) {
            throw new IOException("unreadable");
        }
    }

    @Override
    public void each(Visitor visitor) {
        blocks.forEach((key, block) -> {
            byte[] app = key.app.getBytes(StandardCharsets.UTF_8);
            visitor.group(app, key.hour, "totals", "", block.sessions, block.newUsers, block.ended, block.duration,
                    block.views, block.events, block.errors);
            List<Map<String, Number>> maps = List.of(block.versions, block.countries, block.models);
            for (int i = 0; i < 3; i++) {
                String rollup = Rules.ROLLUPS.get(i);
                maps.get(i).forEach((name, number) -> visitor.group(app, key.hour, rollup, name, number.value));
            }
            block.named.forEach((name, event) -> visitor.group(app, key.hour, "events", name, event.count,
                    event.sessions, event.duration));
        });
    }
}
