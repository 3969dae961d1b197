# Calls of cells over Thrift, from columns and into columns: no Python object a row.
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from thrift cimport (
    FF_APPLICATION,
    FF_CLOSED,
    FF_DEPTH,
    FF_ERRNO,
    FF_FINE,
    FF_GARBLED,
    FF_GET,
    FF_ILLEGAL,
    FF_INTERRUPTED,
    FF_IO_ERROR,
    FF_LANES,
    FF_MISMATCH,
    FF_NO_MEMORY,
    FF_PUT,
    FF_SWAP,
    FF_TIMEOUT,
    FF_TOO_LARGE,
    ff_bytes,
    ff_bytes_free,
    ff_call,
    ff_cells,
    ff_cells_free,
    ff_column,
    ff_column_fits,
    ff_cut,
    ff_encode,
    ff_exchange,
    ff_exchange_run,
    ff_lane,
    ff_lane_clean,
    ff_lane_free,
    ff_method,
    ff_outcome,
    ff_reply,
    ff_reply_begin,
    ff_reply_feed,
    ff_slice,
    ff_source,
)

cdef Py_ssize_t MOST_BYTES = 0x7FFFFFFF  # that a column with int32 offsets holds


class WireFailure(Exception):
    """A call that has no clean reply; see _wire.pyi."""

    def __init__(self, kind, code, text):
        super().__init__(kind, code, text)
        self.kind = kind
        self.code = code
        self.text = text


cdef dict KINDS = {
    FF_CLOSED: "closed",
    FF_ERRNO: "errno",
    FF_TIMEOUT: "timeout",
    FF_GARBLED: "garbled",
    FF_MISMATCH: "mismatch",
    FF_TOO_LARGE: "too large",
    FF_IO_ERROR: "io",
    FF_ILLEGAL: "illegal",
    FF_APPLICATION: "application",
}


cdef object failure(ff_outcome outcome, int32_t code, const char *text):
    if outcome == FF_NO_MEMORY:
        return MemoryError()
    return WireFailure(KINDS[outcome], code, (<bytes>text).decode("utf-8", "replace"))


@cython.final
cdef class BinaryColumn:
    """Arrow's Binary or LargeBinary, without nulls; see _wire.pyi."""

    cdef ff_column column
    cdef list held
    cdef readonly Py_ssize_t shortest, longest

    def __init__(self, array):
        cdef Py_ssize_t size = 0, length = 0, width
        cdef size_t shortest, longest
        cdef const uint8_t *offsets
        kind = str(array.type)
        if kind not in ("binary", "large_binary"):
            raise TypeError(f"expected a column of binary or large_binary, not {kind}")
        if array.null_count:
            raise ValueError("the column has nulls")
        self.held = []
        self.column.wide = kind == "large_binary"
        self.column.count = len(array)
        self.column.data = NOTHING
        if not self.column.count:
            return
        _, places, data = array.buffers()
        if data is not None:
            self.column.data = bytes_column("data", data, self.held, &size)
        width = 8 if self.column.wide else 4
        offsets = bytes_column("offsets", places, self.held, &length)
        if <size_t>offsets % width or length // width < <Py_ssize_t>(array.offset + self.column.count + 1):
            raise ValueError("the column has fewer offsets than values")
        self.column.offsets = offsets + <Py_ssize_t>array.offset * width
        if not ff_column_fits(&self.column, size, &shortest, &longest):
            raise ValueError("the column's offsets leave its data")
        self.shortest, self.longest = shortest, longest

    def __len__(self):
        return self.column.count


@cython.final
cdef class Calls:
    """Calls of one method, and what they found; see _wire.pyi."""

    cdef ff_method method
    cdef ff_source *sources
    cdef ff_call *calls
    cdef ff_cells *cells
    cdef uint8_t *swapped_flags
    cdef Py_ssize_t sources_count, calls_count
    cdef list held
    cdef readonly list sequences, clean
    cdef bint ran

    def __cinit__(self):
        self.held, self.sequences, self.clean = [], [], []

    def __dealloc__(self):
        cdef Py_ssize_t index
        if self.cells is not NULL:
            for index in range(self.calls_count):
                ff_cells_free(&self.cells[index])
        free(self.sources)
        free(self.calls)
        free(self.cells)
        free(self.swapped_flags)

    def __len__(self):
        return self.calls_count

    @staticmethod
    def put(columns, Py_ssize_t rows, Py_ssize_t size):
        cdef Calls made = new_calls(FF_PUT, len(columns))
        cdef ff_source *source
        cdef BinaryColumn keys, values
        for index, (table, column, timestamp, keys, values) in enumerate(columns):
            if len(keys) != len(values):
                raise ValueError(f"{len(keys)} rows with {len(values)} values")
            source = &made.sources[<Py_ssize_t>index]
            source.table, source.column = made.hold(table), made.hold(column)
            source.timestamp = timestamp
            source.rows, source.values = keys.column, values.column
            made.held.extend((keys, values))
        made.cut(rows, size)
        return made

    @staticmethod
    def get(columns, Py_ssize_t rows, Py_ssize_t size):
        cdef Calls made = new_calls(FF_GET, len(columns))
        cdef ff_source *source
        cdef BinaryColumn keys
        for index, (table, column, keys) in enumerate(columns):
            if len(keys) > MOST_BYTES:
                raise ValueError(f"{len(keys)} rows are more than an index can say")
            source = &made.sources[<Py_ssize_t>index]
            source.table, source.column = made.hold(table), made.hold(column)
            source.rows = keys.column
            made.held.append(keys)
        made.cut(rows, size)
        made.cells = <ff_cells *>allocate(made.calls_count, sizeof(ff_cells))
        return made

    @staticmethod
    def swap(table, cells):
        cdef Calls made = new_calls(FF_SWAP, len(cells))
        cdef ff_source *source
        cdef Py_ssize_t index
        for number, (row, column, expected, value) in enumerate(cells):
            source = &made.sources[<Py_ssize_t>number]
            source.table, source.row, source.column = made.hold(table), made.hold(row), made.hold(column)
            source.value = made.hold(value)
            if expected is not None:
                source.expected = made.hold(expected)
        made.calls = <ff_call *>allocate(made.sources_count, sizeof(ff_call))
        made.swapped_flags = <uint8_t *>allocate(made.sources_count, 1)
        made.calls_count = made.sources_count
        for index in range(made.calls_count):
            made.calls[index].source = &made.sources[index]
        return made

    def message(self, Py_ssize_t number, int32_t sequence):
        cdef ff_bytes out
        out.data, out.len, out.cap = NULL, 0, 0
        self.refuse_outside(number)
        try:
            if ff_encode(self.method, &self.calls[number], sequence, &out) != 0:
                raise MemoryError
            return PyBytes_FromStringAndSize(<char *>out.data, out.len)
        finally:
            ff_bytes_free(&out)

    def answer(self, Py_ssize_t number, int32_t sequence, bytes data not None, Py_ssize_t step=0):
        cdef ff_reply reply
        cdef Py_ssize_t shown = 0, at = 0, total = len(data)
        cdef size_t used = 0
        cdef int done = 0
        cdef ff_outcome outcome
        cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
        self.refuse_outside(number)
        ff_reply_begin(
            &reply, self.method, &self.calls[number], sequence, NULL if self.cells is NULL else &self.cells[number]
        )
        while shown < total:
            shown = min(total, shown + step) if step > 0 else total
            outcome = ff_reply_feed(&reply, start + at, shown - at, &used, &done)
            at += used
            if outcome != FF_FINE:
                raise failure(outcome, reply.code, reply.text)
            if done:
                if self.method == FF_SWAP:
                    self.swapped_flags[number] = reply.swapped
                return at
        return -1

    def run(self, sockets, Py_ssize_t depth, double timeout):
        cdef ff_exchange exchange
        cdef ff_outcome outcome
        cdef Py_ssize_t index, count = len(sockets)
        if self.ran:
            raise RuntimeError("these calls were made already")
        if not 0 < count <= FF_LANES or not 0 < depth <= FF_DEPTH:
            raise ValueError(f"{count} sockets with {depth} calls each, of at most {FF_LANES} and {FF_DEPTH}")
        if not 0 < timeout < 1e9:
            raise ValueError(f"a call can not have {timeout} s")
        self.ran = True
        memset(&exchange, 0, sizeof(ff_exchange))
        exchange.method, exchange.calls, exchange.calls_count = self.method, self.calls, self.calls_count
        exchange.cells, exchange.swapped = self.cells, self.swapped_flags
        exchange.lanes = <ff_lane *>allocate(count, sizeof(ff_lane))
        exchange.lanes_count, exchange.depth = count, depth
        exchange.timeout = <int64_t>(timeout * 1e9)
        try:
            for index, (descriptor, sequence) in enumerate(sockets):
                exchange.lanes[index].fd = descriptor
                exchange.lanes[index].sequence = sequence
            while True:
                with nogil:
                    outcome = ff_exchange_run(&exchange)
                if outcome != FF_INTERRUPTED:
                    break
                PyErr_CheckSignals()
            if outcome != FF_FINE:
                raise failure(outcome, exchange.code, exchange.text)
        finally:
            for index in range(count):
                self.sequences.append(exchange.lanes[index].sequence)
                self.clean.append(bool(ff_lane_clean(&exchange.lanes[index])))
                ff_lane_free(&exchange.lanes[index])
            free(exchange.lanes)

    def found(self):
        cdef list answers = []
        cdef Py_ssize_t first = 0, last, number
        if self.method != FF_GET:
            raise TypeError("these calls find no cells")
        for number in range(self.sources_count):
            last = first
            while last < self.calls_count and self.calls[last].source == &self.sources[number]:
                last += 1
            answers.append(self.joined(first, last))
            first = last
        return answers

    def swapped(self):
        if self.method != FF_SWAP:
            raise TypeError("these calls swap no cells")
        return [bool(self.swapped_flags[index]) for index in range(self.calls_count)]

    # The cells of the calls first..last-1 as (indices, timestamps, offsets, values), each an Arrow buffer's bytes.
    cdef tuple joined(self, Py_ssize_t first, Py_ssize_t last):
        cdef Py_ssize_t number, index, count = 0, size = 0, at = 0
        cdef ff_cells *cells
        for number in range(first, last):
            count += self.cells[number].count
            size += self.cells[number].values.len
        if size > MOST_BYTES:
            raise WireFailure("too large", 0, f"{count} cells have {size} bytes together")
        indices = PyBytes_FromStringAndSize(NULL, count * sizeof(int32_t))
        timestamps = PyBytes_FromStringAndSize(NULL, count * sizeof(int64_t))
        offsets = PyBytes_FromStringAndSize(NULL, (count + 1) * sizeof(int32_t))
        values = PyBytes_FromStringAndSize(NULL, size)
        cdef int32_t *places = <int32_t *>PyBytes_AS_STRING(offsets)
        cdef char *value = PyBytes_AS_STRING(values)
        places[0] = 0
        count = size = 0
        for number in range(first, last):
            cells = &self.cells[number]
            if not cells.count:
                continue
            memcpy(PyBytes_AS_STRING(indices) + count * sizeof(int32_t), cells.indices, cells.count * sizeof(int32_t))
            memcpy(
                PyBytes_AS_STRING(timestamps) + count * sizeof(int64_t),
                cells.timestamps,
                cells.count * sizeof(int64_t),
            )
            for index in range(<Py_ssize_t>cells.count):
                at = size + <Py_ssize_t>cells.ends[index]
                places[count + index + 1] = <int32_t>at
            if cells.values.len:
                memcpy(value + size, cells.values.data, cells.values.len)
            count += cells.count
            size += cells.values.len
        return indices, timestamps, offsets, values

    # Where every call begins and ends. Counted first, so that nothing grows.
    cdef int cut(self, Py_ssize_t rows, Py_ssize_t size) except -1:
        cdef Py_ssize_t number, count = 0
        cdef size_t start, stop
        cdef bint counting
        if rows < 1 or size < 1:
            raise ValueError("a call has at least one row and one byte")
        for counting in (True, False):
            count = 0
            for number in range(self.sources_count):
                start = 0
                while start < self.sources[number].rows.count:
                    stop = ff_cut(self.method, &self.sources[number], start, rows, size)
                    if not counting:
                        self.calls[count].source = &self.sources[number]
                        self.calls[count].start, self.calls[count].stop = start, stop
                    count += 1
                    start = stop
            if counting:
                self.calls = <ff_call *>allocate(count, sizeof(ff_call))
        self.calls_count = count
        return 0

    cdef ff_slice hold(self, bytes value) except *:
        cdef ff_slice slice
        slice.data = <const uint8_t *>PyBytes_AS_STRING(value)
        slice.len = len(value)
        self.held.append(value)
        return slice

    cdef int refuse_outside(self, Py_ssize_t number) except -1:
        if not 0 <= number < self.calls_count:
            raise IndexError(f"there is no call {number}")
        return 0


cdef Calls new_calls(ff_method method, Py_ssize_t sources):
    cdef Calls made = Calls.__new__(Calls)
    made.method = method
    made.sources = <ff_source *>allocate(sources, sizeof(ff_source))
    made.sources_count = sources
    return made


# Zeroed; never nothing.
cdef void *allocate(Py_ssize_t count, size_t size) except NULL:
    cdef void *memory = calloc(count if count else 1, size)
    if memory is NULL:
        raise MemoryError
    return memory
