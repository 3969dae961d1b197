import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.zip.CRC32;

/**
 * The consumer written for speed: nothing is allocated for a report. VarHandles over the payload, one walk that checks
 * bounds, text and fixed values and keeps positions in scratch arrays, counters in flat arrays of longs found by a
 * 64-bit hash, with the key's bytes kept and compared at every hit.
 *
 * Updates wait until some hundred are there; a loop first touches the cells of all, so that their cache misses overlap.
 */
final class Flat implements Contender {
    private static final VarHandle SHORT = MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle INT = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    private static final byte[] MODEL = "device.model".getBytes();
    private static final long K0 = 0x9E3779B97F4A7C15L, K1 = 0xC2B2AE3D27D4EB4FL;
    private static final int OPS = 512, EVENT = 3;  // kinds: 0 version, 1 country, 2 model, 3 event

    private static final class Unreadable extends RuntimeException {
        private static final long serialVersionUID = 1;

        Unreadable() {
            super(null, null, false, false);
        }
    }

    private static final Unreadable UNREADABLE = new Unreadable();

    private final CRC32 crc = new CRC32();
    private long unreadable, serial;

    // The report at hand.
    private byte[] b;
    private int p, end, at, size;  // `at` and `size`: the text read last
    private int sessions, counts, times;
    private long[] session = new long[16 * 16];  // a session: eight longs, see `session()`
    private long[] count = new long[2 * 256], time = new long[2 * 256];  // position and length; number

    // Blocks: (app, hour) -> number. A block: hash, hour, key's place, totals.
    private static final int BLOCK = 10;
    private int[] index;
    private long[] block;
    private int blocks;
    private byte[] keys;
    private int keysUsed;

    // Groups: hash, block and kind and length of the name, place of the name, measures.
    private final Table plain = new Table(4), events = new Table(7);
    private final long[] opHash = new long[OPS], opMeta = new long[OPS], opValue = new long[OPS], opSerial = new long[OPS];
    private final int[] opAt = new int[OPS];
    private final byte[][] opBytes = new byte[OPS][];  // where the name lies
    private int ops;
    private long touched;

    Flat() {
        clear();
    }

    @Override
    public void clear() {
        index = new int[1 << 12];
        block = new long[BLOCK << 11];
        blocks = 0;
        keys = new byte[1 << 20];
        keysUsed = 0;
        plain.clear();
        events.clear();
        ops = 0;
        unreadable = 0;
    }

    @Override
    public long unreadable() {
        return unreadable;
    }

    @Override
    public void absorb(byte[] bytes, int offset, int length, long received) {
        try {
            read(bytes, offset, length, Rules.received(received));
        } catch (Unreadable error) {
            unreadable++;
        }
    }

    private void read(byte[] bytes, int offset, int length, long received) {
        b = bytes;
        p = offset;
        end = offset + length;
        sessions = counts = times = 0;
        int protocol = u16();
        boolean listed = protocol >= 22, recent = protocol >= 29;
        check(Rules.known(protocol));
        if (listed) {
            check(length >= 6);
            end -= 4;
            crc.reset();
            crc.update(bytes, offset, length - 4);
            check((int) crc.getValue() == (int) INT.get(bytes, end));
        }
        skip(2);
        if (protocol >= 15) {
            skip(8);
            skip(9 * u16());
        }
        skip(4);
        long created = i64();
        text();
        int key = at, keySize = size;
        check(size > 0 && size < 256);
        text();
        if (listed) {
            for (int n = u16(); n > 0; n--) {
                skip(2);
                skip(u16());
            }
            check(u8() == 0);
        } else {
            skip(protocol == 15 ? 2 : 0);
            text();
        }
        if (protocol >= 27) {
            bool();
        }
        if (recent) {
            bool();
        }
        long firstStart = i64();
        skip(8);
        int model = 0, modelSize = -1;
        for (int n = u16(); n > 0; n--) {
            text();
            boolean wanted = modelSize < 0 && size == 12 && Arrays.equals(b, at, at + 12, MODEL, 0, 12);
            text();
            if (wanted) {
                model = at;
                modelSize = size;
            }
            check(!recent || u8() == 0);
        }
        modelSize = Math.max(modelSize, 0);
        if (protocol >= 24) {
            lists();
            optional();
        }
        check(protocol != 25 || u8() == 0);
        if (protocol >= 25) {
            lists();
        }
        if (recent) {
            for (int n = u16(); n > 0; n--) {
                text();
                pairs(false);
            }
        }
        if (protocol == 30) {
            text();
        }
        for (int n = u16(); n > 0; n--) {
            session(protocol);
        }
        check(!recent || u16() == 0);
        check(p == end);
        count(key, keySize, Rules.shift(created, received, protocol), firstStart, model, modelSize, received);
    }

    private void session(int protocol) {
        boolean old = protocol == 8, listed = protocol >= 22, recent = protocol >= 29;
        check(old || u16() == Rules.recordVersion(protocol));
        int from = sessions * 8;
        if (from == session.length) {
            session = Arrays.copyOf(session, from * 2);
        }
        sessions++;
        text();
        session[from] = (long) at << 32 | size;
        session[from + 1] = i64();
        session[from + 2] = i64();
        skip(old ? 0 : 8);
        if (protocol == 30) {
            bool();
            skip(1);
            optional();
            optional();
            pairs(false);
        }
        if (recent) {
            pairs(true);
        }
        session[from + 3] = 0;
        if (!old) {
            text();
            session[from + 3] = (long) at << 32 | size;
            text();
            skip(protocol == 30 ? 2 : 1);
        }
        text();
        if (bool()) {
            skip(20);
        }
        int views = i32();
        if (old) {
            skip(1);
        } else {
            skip(3);
            if (bool()) {
                skip(8);
            }
        }
        for (int n = u16(); n > 0; n--) {
            text();
            if (counts * 2 == count.length) {
                count = Arrays.copyOf(count, count.length * 2);
            }
            count[counts * 2] = (long) at << 32 | size;
            count[counts++ * 2 + 1] = i32();
        }
        for (int n = u16(); n > 0; n--) {
            skip(listed ? 2 : 0);
            text();
            int name = at, nameSize = size;
            pairs(false);
            if (!old) {
                skip(8);
                long spent = i64();
                if (spent > 0) {
                    if (times * 2 == time.length) {
                        time = Arrays.copyOf(time, time.length * 2);
                    }
                    time[times * 2] = (long) name << 32 | nameSize;
                    time[times++ * 2 + 1] = spent;
                }
            }
        }
        bool();
        session[from + 4] = (long) views << 32 | (i32() & 0xFFFFFFFFL);
        for (int n = u16(); n > 0; n--) {
            skip(listed ? 10 : 8);
            text();
            text();
            text();
            if (protocol >= 26) {
                skip(1);
                int tag = u8();
                check(tag == 0 || tag == 2);
                if (tag == 2) {
                    skip(i32());
                }
            }
        }
        check(!recent || (i32() == -1 && u16() == 0));
        check(u16() == 0);
        check(!listed || u16() == 0);
        session[from + 5] = counts;
        session[from + 6] = times;
    }

    private void count(int key, int keySize, long shift, long firstStart, int model, int modelSize, long received) {
        if (sessions == 0) {
            return;
        }
        long app = hash(b, key, keySize, K0), models = hash(b, model, modelSize, K1);
        int c = 0, t = 0;
        for (int i = 0; i < sessions; i++) {
            int from = i * 8, lastCount = (int) session[from + 5], lastTime = (int) session[from + 6];
            if (sessions > 1 && superseded(i)) {
                c = lastCount;
                t = lastTime;
                continue;
            }
            long start = session[from + 1], duration = session[from + 2];
            int number = block(app, key, keySize, Rules.hour(start, shift, received));
            int totals = number * BLOCK + 3;
            serial++;
            block[totals]++;
            if (start == firstStart) {
                block[totals + 1]++;
            }
            if (duration >= 0) {
                block[totals + 2]++;
                block[totals + 3] += Rules.ms(duration);
            }
            block[totals + 4] += Rules.clamp((int) (session[from + 4] >> 32));
            block[totals + 6] += Rules.clamp((int) session[from + 4]);
            int place = (int) (session[from] >> 32), length = (int) session[from];
            operation(number, 0, place, length, hash(b, place, length, K1), 1);
            place = (int) (session[from + 3] >> 32);
            length = (int) session[from + 3];
            int mark = place, stop = place + length;
            while (mark < stop && b[mark] != '_') {
                mark++;
            }
            int country = mark < stop ? mark + 1 : mark, after = country;
            while (after < stop && b[after] != '_') {
                after++;
            }
            operation(number, 1, country, after - country, hash(b, country, after - country, K1), 1);
            operation(number, 2, model, modelSize, models, 1);
            long occurrences = 0;
            for (; c < lastCount; c++) {
                place = (int) (count[c * 2] >> 32);
                length = (int) count[c * 2];
                long n = Rules.clamp((int) count[c * 2 + 1]);
                occurrences += n;
                operation(number, EVENT, place, length, hash(b, place, length, K1), n);
            }
            block[totals + 5] += occurrences;
            for (; t < lastTime; t++) {
                place = (int) (time[t * 2] >> 32);
                length = (int) time[t * 2];
                operation(number, EVENT, place, length, hash(b, place, length, K1), -Rules.ms(time[t * 2 + 1]));
            }
        }
    }

    private boolean superseded(int place) {
        long start = session[place * 8 + 1], duration = Math.max(session[place * 8 + 2], -1);
        for (int other = 0; other < sessions; other++) {
            long its = Math.max(session[other * 8 + 2], -1);
            if (other != place && session[other * 8 + 1] == start && (its > duration || (its == duration && other > place))) {
                return true;
            }
        }
        return false;
    }

    /** An update that waits. A negative value is an event's duration, which is above 0. */
    private void operation(int number, int kind, int place, int length, long hash, long value) {
        if (ops == OPS) {
            apply();
        }
        long meta = (long) number << 32 | (long) kind << 16 | length;
        hash = (hash ^ (meta >>> 16)) * K0;
        hash ^= hash >>> 32;
        opHash[ops] = hash == 0 ? 1 : hash;
        opMeta[ops] = meta;
        opAt[ops] = place;
        opBytes[ops] = b;
        opSerial[ops] = serial;
        opValue[ops++] = value;
    }

    private void apply() {
        long seen = 0;
        for (int i = 0; i < ops; i++) {
            Table table = (opMeta[i] >> 16 & 3) == EVENT ? events : plain;
            seen += table.cells[((int) opHash[i] & table.mask) * table.width];
        }
        touched += seen;
        for (int i = 0; i < ops; i++) {
            long value = opValue[i];
            if ((opMeta[i] >> 16 & 3) != EVENT) {
                int cell = plain.find(opHash[i], opMeta[i], opBytes[i], opAt[i]);
                plain.cells[cell + 3] += value;
                continue;
            }
            int cell = events.find(opHash[i], opMeta[i], opBytes[i], opAt[i]);
            long[] cells = events.cells;
            if (value < 0) {
                cells[cell + 5] -= value;
            } else {
                cells[cell + 3] += value;
                if (cells[cell + 6] != opSerial[i]) {
                    cells[cell + 6] = opSerial[i];
                    cells[cell + 4]++;
                }
            }
        }
        ops = 0;
    }

    private int block(long app, int key, int keySize, long hour) {
        long hash = (app ^ hour * K1) * K0;
        hash ^= hash >>> 32;
        int slot = (int) hash & (index.length - 1);
        while (index[slot] != 0) {
            int number = index[slot] - 1, from = number * BLOCK;
            int place = (int) (block[from + 2] >> 8), length = (int) block[from + 2] & 255;
            if (block[from] == hash && block[from + 1] == hour && length == keySize
                    && Arrays.equals(keys, place, place + length, b, key, key + keySize)) {
                return number;
            }
            slot = (slot + 1) & (index.length - 1);
        }
        if ((blocks + 1) * 2 > index.length) {
            block = Arrays.copyOf(block, block.length * 2);
            index = new int[index.length * 2];
            for (int number = 0; number < blocks; number++) {
                int free = (int) block[number * BLOCK] & (index.length - 1);
                while (index[free] != 0) {
                    free = (free + 1) & (index.length - 1);
                }
                index[free] = number + 1;
            }
            return block(app, key, keySize, hour);
        }
        if (keysUsed + keySize > keys.length) {
            keys = Arrays.copyOf(keys, keys.length * 2);
        }
        System.arraycopy(b, key, keys, keysUsed, keySize);
        int from = blocks * BLOCK;
        block[from] = hash;
        block[from + 1] = hour;
        block[from + 2] = (long) keysUsed << 8 | keySize;
        keysUsed += keySize;
        index[slot] = ++blocks;
        return blocks - 1;
    }

    /** Open addressing; a cell whose hash is 0 is free. */
    private static final class Table {
        final int width;
        long[] cells;
        int mask, used;
        byte[] names;
        int namesUsed;

        Table(int width) {
            this.width = width;
        }

        void clear() {
            mask = (1 << 12) - 1;
            cells = new long[width << 12];
            names = new byte[1 << 16];
            used = namesUsed = 0;
        }

        int find(long hash, long meta, byte[] bytes, int at) {
            int length = (int) meta & 0xFFFF;
            int slot = (int) hash & mask;
            long[] cells = this.cells;
            while (true) {
                int cell = slot * width;
                long there = cells[cell];
                if (there == hash && cells[cell + 1] == meta) {
                    int name = (int) cells[cell + 2];
                    if (Arrays.equals(names, name, name + length, bytes, at, at + length)) {
                        return cell;
                    }
                } else if (there == 0) {
                    return insert(cell, hash, meta, bytes, at, length);
                }
                slot = (slot + 1) & mask;
            }
        }

        private int insert(int cell, long hash, long meta, byte[] bytes, int at, int length) {
            if (++used * 2 > mask) {
                grow();
                int slot = (int) hash & mask;
                while (cells[slot * width] != 0) {
                    slot = (slot + 1) & mask;
                }
                cell = slot * width;
            }
            if (namesUsed + length > names.length) {
                names = Arrays.copyOf(names, Math.max(names.length * 2, namesUsed + length));
            }
            System.arraycopy(bytes, at, names, namesUsed, length);
            cells[cell] = hash;
            cells[cell + 1] = meta;
            cells[cell + 2] = namesUsed;
            namesUsed += length;
            return cell;
        }

        private void grow() {
            long[] old = cells;
            mask = mask * 2 + 1;
            cells = new long[(mask + 1) * width];
            for (int from = 0; from < old.length; from += width) {
                if (old[from] != 0) {
                    int slot = (int) old[from] & mask;
                    while (cells[slot * width] != 0) {
                        slot = (slot + 1) & mask;
                    }
                    System.arraycopy(old, from, cells, slot * width, width);
                }
            }
        }
    }

    private static long hash(byte[] b, int at, int length, long seed) {
        long h = seed ^ length * K1;
        int i = at, stop = at + length;
        for (; i + 8 <= stop; i += 8) {
            h = mix(h ^ (long) LONG.get(b, i));
        }
        long rest = 0;
        for (; i < stop; i++) {
            rest = rest << 8 | (b[i] & 255);
        }
        return mix(h ^ rest);
    }

    private static long mix(long h) {
        return h * K0 ^ Math.multiplyHigh(h, K0);
    }

    // --- the cursor: a bound is checked where it moves, and nowhere else ---

    private int u8() {
        int from = p;
        check(from + 1 <= end);
        p = from + 1;
        return b[from] & 255;
    }

    private int u16() {
        int from = p;
        check(from + 2 <= end);
        p = from + 2;
        return (short) SHORT.get(b, from) & 0xFFFF;
    }

    private int i32() {
        int from = p;
        check(from + 4 <= end);
        p = from + 4;
        return (int) INT.get(b, from);
    }

    private long i64() {
        int from = p;
        check(from + 8 <= end);
        p = from + 8;
        return (long) LONG.get(b, from);
    }

    private void skip(int bytes) {
        check(bytes >= 0 && end - p >= bytes);
        p += bytes;
    }

    private boolean bool() {
        int value = u8();
        check(value < 2);
        return value == 1;
    }

    private void text() {
        int length = u16();
        int from = p;
        check(end - from >= length);
        at = from;
        size = length;
        p = from + length;
        int i = from, stop = from + length;
        for (; i + 8 <= stop; i += 8) {
            if (((long) LONG.get(b, i) & 0x8080808080808080L) != 0) {
                modified(b, i, stop);
                return;
            }
        }
        for (; i < stop; i++) {
            if (b[i] < 0) {
                modified(b, i, stop);
                return;
            }
        }
    }

    /** Modified UTF-8 as readUTF accepts it. */
    private static void modified(byte[] b, int i, int stop) {
        while (i < stop) {
            int unit = b[i] & 255;
            int length = unit < 0x80 ? 1 : (unit & 0xE0) == 0xC0 ? 2 : (unit & 0xF0) == 0xE0 ? 3 : 0;
            check(length > 0 && i + length <= stop);
            check(length < 2 || (b[i + 1] & 0xC0) == 0x80);
            check(length < 3 || (b[i + 2] & 0xC0) == 0x80);
            i += length;
        }
    }

    private void optional() {
        if (bool()) {
            text();
        }
    }

    private void lists() {
        for (int n = u16(); n > 0; n--) {
            text();
            for (int m = u16(); m > 0; m--) {
                text();
            }
        }
    }

    private void pairs(boolean padded) {
        for (int n = u16(); n > 0; n--) {
            text();
            text();
            check(!padded || u8() == 0);
        }
    }

    private static void check(boolean holds) {
        if (!holds) {
            throw UNREADABLE;
        }
    }

    @Override
    public void each(Visitor visitor) {
        apply();
        for (int number = 0; number < blocks; number++) {
            int totals = number * BLOCK + 3;
            visitor.group(key(number), block[totals - 2], "totals", "", Arrays.copyOfRange(block, totals, totals + 7));
        }
        for (Table table : new Table[] {plain, events}) {
            for (int cell = 0; cell < table.cells.length; cell += table.width) {
                if (table.cells[cell] != 0) {
                    long meta = table.cells[cell + 1];
                    int number = (int) (meta >> 32), kind = (int) (meta >> 16) & 3;
                    String name = text(table.names, (int) table.cells[cell + 2], (int) meta & 0xFFFF);
                    long[] measures = Arrays.copyOfRange(table.cells, cell + 3, cell + (kind == EVENT ? 6 : 4));
                    visitor.group(key(number), block[number * BLOCK + 1], kind == EVENT ? "events" : Rules.ROLLUPS.get(kind), name, measures);
                }
            }
        }
    }

    private byte[] key(int number) {
        long place = block[number * BLOCK + 2];
        return Arrays.copyOfRange(keys, (int) (place >> 8), (int) (place >> 8) + (int) (place & 255));
    }

    private static String text(byte[] b, int from, int length) {
        StringBuilder out = new StringBuilder(length);
        for (int i = from; i < from + length; ) {
            int unit = b[i++] & 255;
            if (unit >= 0xE0) {
                unit = (unit & 15) << 12 | (b[i] & 63) << 6 | (b[i + 1] & 63);
                i += 2;
            } else if (unit >= 0x80) {
                unit = (unit & 31) << 6 | (b[i++] & 63);
            }
            out.append((char) unit);
        }
        return out.toString();
    }
}
