# Declarations for csrc/thrift.h, with their reasons there.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t


cdef extern from "thrift.h" nogil:
    const int FF_LANES
    const int FF_DEPTH
    const int FF_TEXT

    ctypedef struct ff_slice:
        const uint8_t *data
        size_t len

    ctypedef struct ff_bytes:
        uint8_t *data
        size_t len
        size_t cap

    ctypedef struct ff_column:
        const uint8_t *data
        const void *offsets
        size_t count
        int wide

    ctypedef enum ff_method:
        FF_PUT
        FF_GET
        FF_SWAP

    ctypedef struct ff_source:
        ff_slice table
        ff_slice column
        ff_column rows
        ff_column values
        int64_t timestamp
        ff_slice row
        ff_slice expected
        ff_slice value

    ctypedef struct ff_call:
        const ff_source *source
        size_t start
        size_t stop

    void ff_bytes_free(ff_bytes *bytes)
    int ff_column_fits(const ff_column *column, size_t size, size_t *shortest, size_t *longest)
    size_t ff_cut(ff_method method, const ff_source *source, size_t start, size_t rows, size_t bytes)
    int ff_encode(ff_method method, const ff_call *call, int32_t sequence, ff_bytes *out)

    ctypedef struct ff_cells:
        int32_t *indices
        int64_t *timestamps
        uint64_t *ends
        size_t count
        ff_bytes values

    void ff_cells_free(ff_cells *cells)

    ctypedef enum ff_outcome:
        FF_FINE
        FF_NO_MEMORY
        FF_CLOSED
        FF_ERRNO
        FF_TIMEOUT
        FF_GARBLED
        FF_MISMATCH
        FF_TOO_LARGE
        FF_IO_ERROR
        FF_ILLEGAL
        FF_APPLICATION
        FF_INTERRUPTED

    ctypedef struct ff_reply:
        int32_t code
        int swapped
        char *text

    void ff_reply_begin(ff_reply *reply, ff_method method, const ff_call *call, int32_t sequence, ff_cells *cells)
    ff_outcome ff_reply_feed(ff_reply *reply, const uint8_t *data, size_t len, size_t *used, int *done)

    ctypedef struct ff_lane:
        int fd
        int32_t sequence

    ctypedef struct ff_exchange:
        ff_method method
        const ff_call *calls
        size_t calls_count
        ff_cells *cells
        uint8_t *swapped
        ff_lane *lanes
        size_t lanes_count
        size_t depth
        int64_t timeout
        int32_t code
        char *text

    ff_outcome ff_exchange_run(ff_exchange *exchange)
    int ff_lane_clean(const ff_lane *lane)
    void ff_lane_free(ff_lane *lane)
