/*
 * Thrift's binary protocol, as far as cells need it: calls encoded straight
 * from Arrow columns, replies read into columns, and several calls in flight
 * over several sockets. HBase's IDL (Hbase.thrift, Thrift1) names the fields.
 * Nothing here knows of Python; everything may run without the GIL.
 *
 * thrift_encode.c writes, thrift_reply.c reads (every byte is hostile),
 * thrift_exchange.c has the sockets.
 */
#ifndef FF_THRIFT_H
#define FF_THRIFT_H

#include <stddef.h>
#include <stdint.h>

#define FF_TEXT 1024 /* bytes of a server's message that are kept */
#define FF_LANES 64  /* most sockets of one exchange */
#define FF_DEPTH 16  /* most calls in flight on one socket */

typedef struct {
    const uint8_t *data;
    size_t len;
} ff_slice;

/* Growing memory. Zeroed is empty; free with ff_bytes_free. */
typedef struct {
    uint8_t *data;
    size_t len, cap;
} ff_bytes;

/* Arrow's Binary (wide 0: int32 offsets) or LargeBinary (wide 1: int64).
 * `offsets` has count + 1 entries, checked against the data by its owner. */
typedef struct {
    const uint8_t *data;
    const void *offsets;
    size_t count;
    int wide;
} ff_column;

typedef enum {
    FF_PUT, /* mutateRowsTs */
    FF_GET, /* getRowsWithColumns */
    FF_SWAP /* checkAndPut */
} ff_method;

/* What one call is made of. A put: cells of one column, all at one timestamp,
 * in the write-ahead log before the reply. A get: the cells of rows in one
 * column. A swap: `value` where `expected` is (absent: where nothing is). */
typedef struct {
    ff_slice table, column;
    ff_column rows;   /* put, get */
    ff_column values; /* put */
    int64_t timestamp; /* put */
    ff_slice row, expected, value; /* swap; expected.data NULL: absent */
} ff_source;

/* The rows start <= i < stop of a source, in one call. */
typedef struct {
    const ff_source *source;
    size_t start, stop;
} ff_call;

/* --- encoding ------------------------------------------------------------ */

/* 0, or -1 where there is no memory. */
int ff_bytes_reserve(ff_bytes *bytes, size_t more);
void ff_bytes_free(ff_bytes *bytes);

static inline ff_slice ff_at(const ff_column *column, size_t index) {
    size_t from, to;
    if (column->wide) {
        from = (size_t)((const int64_t *)column->offsets)[index];
        to = (size_t)((const int64_t *)column->offsets)[index + 1];
    } else {
        from = (size_t)((const int32_t *)column->offsets)[index];
        to = (size_t)((const int32_t *)column->offsets)[index + 1];
    }
    return (ff_slice){column->data + from, to - from};
}

/* Whether the offsets never fall and stay within `size` bytes of data; if so,
 * the shortest and the longest value's length (0, 0 of no values). */
int ff_column_fits(const ff_column *column, size_t size, size_t *shortest, size_t *longest);

/* Where the call that begins at row `start` ends: at most `rows` rows, and at
 * most `bytes` of rows and values unless the first alone is larger. */
size_t ff_cut(ff_method method, const ff_source *source, size_t start, size_t rows, size_t bytes);

/* Appends the call's message to `out`. 0; -1 no memory; -2 longer than the
 * protocol can say. */
int ff_encode(ff_method method, const ff_call *call, int32_t sequence, ff_bytes *out);

/* --- replies -------------------------------------------------------------- */

/* Cells that a call found; `indices` are rows of its source, increasing. */
typedef struct {
    int32_t *indices;
    int64_t *timestamps;
    uint64_t *ends; /* of each value, in `values` */
    size_t count, cap;
    ff_bytes values;
} ff_cells;

void ff_cells_free(ff_cells *cells);

typedef enum {
    FF_FINE = 0,
    FF_NO_MEMORY,
    FF_CLOSED,      /* the peer ended the connection */
    FF_ERRNO,       /* `code` says which */
    FF_TIMEOUT,
    FF_GARBLED,     /* no message of the protocol */
    FF_MISMATCH,    /* a message, but not an answer to this call */
    FF_TOO_LARGE,
    FF_IO_ERROR,    /* the gateway's exceptions, `text` has their message */
    FF_ILLEGAL,
    FF_APPLICATION, /* and `code` its type */
    FF_INTERRUPTED  /* a signal may have come: look, then go on */
} ff_outcome;

typedef struct {
    uint8_t kind, role;
    uint8_t value_type;         /* of a struct's field, a list, a map's values */
    uint8_t key_type, at_value; /* of a map */
    uint8_t pending;            /* a struct's field header was read */
    uint32_t seen;              /* a struct's fields 0..31, for those that matter */
    int16_t field;
    uint32_t left; /* elements, pairs */
} ff_frame;

/* One reply being read: a machine that takes one token at a time, so that a
 * reply in a thousand pieces costs what it costs in one. */
typedef struct {
    ff_method method;
    const ff_call *call;
    int32_t sequence;
    ff_cells *cells; /* of a get */
    uint64_t consumed, limit;
    size_t depth; /* 0 before the message's head, and at its end */
    int begun, exception, has_result, swapped;
    /* of the row being read */
    int row_known, cells_in_row;
    size_t next, index; /* the rows that were asked for are walked in order */
    int64_t timestamp;
    /* of an exception */
    ff_outcome raised;
    int32_t code;
    char text[FF_TEXT]; /* also of a mismatch; ends with a zero */
    ff_frame stack[16];
} ff_reply;

void ff_reply_begin(ff_reply *reply, ff_method method, const ff_call *call, int32_t sequence, ff_cells *cells);

/* Takes what it can from the bytes. `*used` of them are done with; `*done`: the
 * reply ended there. FF_FINE and not done: it wants more. Anything else is the
 * end of this connection. */
ff_outcome ff_reply_feed(ff_reply *reply, const uint8_t *data, size_t len, size_t *used, int *done);

/* --- sockets -------------------------------------------------------------- */

typedef struct {
    size_t call;
    int32_t sequence;
} ff_flight;

typedef struct {
    int fd;           /* stays open as long as the exchange runs */
    int32_t sequence; /* of the last call */
    ff_flight flights[FF_DEPTH]; /* a ring: the oldest unanswered is at `head` */
    size_t head, count;
    size_t sent; /* of the `count`, how many are sent to the last byte */
    int64_t deadline; /* of the oldest, monotonic nanoseconds */
    int reading;
    ff_reply reply;
    ff_bytes out; /* the call being sent, gone up to out_at */
    size_t out_at;
    ff_bytes in; /* what came, read up to in_at */
    size_t in_at;
} ff_lane;

typedef struct {
    ff_method method;
    const ff_call *calls;
    size_t calls_count, next, answered;
    ff_cells *cells; /* one a call, of gets */
    uint8_t *swapped; /* one a call, of swaps */
    ff_lane *lanes;
    size_t lanes_count;
    size_t depth;
    int64_t timeout; /* nanoseconds from when a call is the oldest of its socket until its reply is there */
    /* what went wrong first */
    ff_outcome outcome;
    int32_t code;
    char text[FF_TEXT];
} ff_exchange;

/* Runs all calls to their clean replies. FF_FINE; FF_INTERRUPTED: call again;
 * anything else: it stopped there, and every lane with an unanswered call, or
 * that failed, is not to be used again (ff_lane_clean). */
ff_outcome ff_exchange_run(ff_exchange *exchange);
int ff_lane_clean(const ff_lane *lane);
void ff_lane_free(ff_lane *lane);

#endif
