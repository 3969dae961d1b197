import java.util.List;

/** Counts the five rollups of bench/plans/five.toml. One line a group: see bench/digest.py. */
interface Contender {
    /** Empty tables. */
    void clear();

    /** One report: `length` bytes of `bytes` from `offset`, received at `received` (ms). */
    void absorb(byte[] bytes, int offset, int length, long received);

    /** Reports that could not be read. */
    long unreadable();

    /** What a bucketed counter is called: API key, hour, rollup, group, measures. May name a group twice. */
    void each(Visitor visitor);

    /** Receives every group. */
    interface Visitor {
        void group(byte[] key, long hour, String rollup, String name, long... measures);
    }

    /** The rules that both share (docs/counters.md). */
    final class Rules {
        static final long HOUR = 3_600_000, SKEW = 600_000, MAX_AHEAD = 600_000, MAX_AGE = 30 * 24 * HOUR;
        static final long MAX_DURATION = 30 * 24 * HOUR, LAST = 253_402_300_799_999L;
        static final int MAX_COUNT = 1_000_000;
        static final List<String> ROLLUPS = List.of("versions", "countries", "models");

        private Rules() {}

        static long clamp(int count) {
            return count < 0 ? 0 : Math.min(count, MAX_COUNT);
        }

        static long ms(long duration) {
            return duration < 0 ? 0 : Math.min(duration, MAX_DURATION);
        }

        static long received(long received) {
            return received < 0 ? 0 : Math.min(received, LAST);
        }

        static long shift(long created, long received, int protocol) {
            long skew = created - received;
            return skew > SKEW || (skew < -SKEW && protocol <= 26) ? -skew : 0;
        }

        static long hour(long start, long shift, long received) {
            long time = start + shift;
            boolean counts = time >= Math.max(0, received - MAX_AGE) && time <= received + MAX_AHEAD;
            return (counts ? time : received) / HOUR;
        }

        static boolean known(int protocol) {
            return protocol == 8 || protocol == 15 || protocol == 22 || (protocol >= 24 && protocol <= 27)
                    || protocol == 29 || protocol == 30;
        }

        static int recordVersion(int protocol) {
            return protocol == 30 ? 7 : protocol == 29 ? 3 : 1;
        }
    }
}
