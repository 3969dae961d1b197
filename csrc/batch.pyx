# Batches: records by pointer and length, whoever owns the bytes.
cimport cython
from cpython.buffer cimport Py_buffer
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free

from batch cimport FF_BATCH_ABI, FF_BATCH_CAPSULE, ff_batch, ff_record
from rdkafka cimport rd_kafka_message_t

cdef extern from "Python.h":
    Py_buffer *PyMemoryView_GET_BUFFER(object view)

cdef const uint8_t *NOTHING = <const uint8_t *>b""  # empty, where NULL would say absent

ctypedef void (*message_destructor)(rd_kafka_message_t *) noexcept nogil


# The last reference to a capsule is gone: whoever read the records is done.
cdef void drop_capsule(object capsule) noexcept:
    cdef PyObject *context = <PyObject *>PyCapsule_GetContext(capsule)
    cdef Batch batch = <Batch>context
    batch.exports -= 1
    Py_DECREF(batch)


# no_gc_clear: the owner must outlive the messages, in a cycle too.
@cython.no_gc_clear
@cython.final
cdef class Batch:
    """Records in the order they were taken; see _wire.pyi."""

    cdef ff_batch head
    cdef ff_record *records
    cdef rd_kafka_message_t **messages  # owned, destroyed with the batch
    cdef size_t message_count
    cdef message_destructor destroy_message
    cdef uint8_t *flat_headers
    cdef list held  # Python objects whose bytes the records point to
    cdef object owner  # the Drain: librdkafka's handle must outlive its messages
    cdef Py_ssize_t exports
    cdef readonly Py_ssize_t payload_bytes
    cdef readonly bint released
    cdef object __weakref__

    def __cinit__(self):
        self.head.abi = FF_BATCH_ABI
        self.held = []

    def __dealloc__(self):
        self.free_all()

    def __len__(self):
        return self.head.count

    def __ff_batch__(self):
        if self.released:
            raise ValueError("the batch was released")
        capsule = PyCapsule_New(&self.head, FF_BATCH_CAPSULE, <void (*)(object) noexcept>drop_capsule)
        PyCapsule_SetContext(capsule, <void *>self)
        Py_INCREF(self)
        self.exports += 1
        return capsule

    def release(self):
        if self.exports:
            raise BufferError("the batch is being read")
        self.released = True
        self.free_all()
        self.held = []
        self.owner = None

    def cut(self, dict ends not None):
        cdef size_t index, kept = 0
        cdef ff_record *record
        cdef int32_t partition = -1
        cdef int64_t end = -1
        cdef set reached = set()
        if self.exports:
            raise BufferError("the batch is being read")
        for index in range(self.head.count):
            record = &self.records[index]
            if record.partition != partition:  # records of one partition come in runs
                partition = record.partition
                end = ends.get(partition, 0)
            if record.offset < end:
                self.records[kept] = record[0]
                kept += 1
            else:
                self.payload_bytes -= record.payload_len
                reached.add(partition)
        self.head.count = kept
        return reached

    def rows(self):
        if self.released:
            raise ValueError("the batch was released")
        return [record_tuple(&self.records[i]) for i in range(<Py_ssize_t>self.head.count)]

    @staticmethod
    def from_messages(list messages not None):
        cdef Batch batch = new_batch(len(messages))
        cdef Py_ssize_t index
        for index, message in enumerate(messages):
            batch.point_to_message(&batch.records[index], message)
        return batch

    @staticmethod
    def from_buffers(payload, payload_offsets, offsets, timestamps, int32_t partition, keys=None, key_offsets=None):
        cdef Py_ssize_t count, index
        cdef const int64_t *payload_at
        cdef const int64_t *key_at = NULL
        cdef const int64_t *offset
        cdef const int64_t *timestamp
        cdef const uint8_t *payload_bytes
        cdef const uint8_t *key_bytes = NULL
        cdef Py_ssize_t payload_len, key_len = 0
        cdef ff_record *record
        cdef list held = []

        if partition < 0:
            raise ValueError("partition is negative")
        if (keys is None) != (key_offsets is None):
            raise ValueError("keys and key_offsets come together")
        offset = int64_column("offsets", offsets, -1, held, &count)
        timestamp = int64_column("timestamps", timestamps, count, held, NULL)
        payload_at = int64_column("payload_offsets", payload_offsets, count + 1, held, NULL)
        payload_bytes = bytes_column("payload", payload, held, &payload_len)
        check_bounds("payload_offsets", payload_at, count, payload_len)
        if keys is not None:
            key_at = int64_column("key_offsets", key_offsets, count + 1, held, NULL)
            key_bytes = bytes_column("keys", keys, held, &key_len)
            check_bounds("key_offsets", key_at, count, key_len)
        for index in range(count):
            if offset[index] < 0:
                raise ValueError(f"offsets[{index}] is negative")

        cdef Batch batch = new_batch(count)
        batch.held = held
        batch.payload_bytes = payload_at[count] - payload_at[0]
        for index in range(count):
            record = &batch.records[index]
            record.partition = partition
            record.offset = offset[index]
            record.timestamp_ms = timestamp[index]
            record.payload = payload_bytes + payload_at[index]
            record.payload_len = payload_at[index + 1] - payload_at[index]
            if key_bytes is not NULL:
                record.key = key_bytes + key_at[index]
                record.key_len = key_at[index + 1] - key_at[index]
        return batch

    # One message of Consumer.consume(): confluent-kafka has copied its bytes
    # into Python objects already; those are kept and pointed to.
    cdef int point_to_message(self, ff_record *record, object message) except -1:
        if message.error() is not None:
            raise ValueError("a message with an error is no record")
        record.partition = message.partition()
        record.offset = message.offset()
        kind, timestamp = message.timestamp()
        record.timestamp_ms = -1 if kind == 0 else timestamp  # 0: not available
        record.payload = self.hold(message.value(), &record.payload_len)
        record.key = self.hold(message.key(), &record.key_len)
        headers = message.headers()
        if headers:
            record.headers = self.hold(flatten_headers(headers), &record.headers_len)
        self.payload_bytes += record.payload_len
        return 0

    cdef const uint8_t *hold(self, object value, size_t *length) except? NULL:
        length[0] = 0
        if value is None:
            return NULL
        if not isinstance(value, bytes):
            raise TypeError(f"expected bytes, not {type(value).__name__}")
        self.held.append(value)
        length[0] = len(<bytes>value)
        return <const uint8_t *><char *><bytes>value

    cdef void free_all(self) noexcept:
        cdef size_t index
        with nogil:
            for index in range(self.message_count):
                self.destroy_message(self.messages[index])
        free(self.messages)
        free(self.records)
        free(self.flat_headers)
        self.messages = NULL
        self.records = NULL
        self.flat_headers = NULL
        self.message_count = 0
        self.head.count = 0
        self.head.records = NULL
        self.payload_bytes = 0


cdef Batch new_batch(Py_ssize_t count):
    cdef Batch batch = Batch.__new__(Batch)
    if count:
        batch.records = <ff_record *>calloc(count, sizeof(ff_record))
        if batch.records is NULL:
            raise MemoryError
    batch.head.count = count
    batch.head.records = batch.records
    return batch


cdef object optional_bytes(const uint8_t *start, size_t length):
    return None if start is NULL else (<const char *>start)[:length]


cdef tuple record_tuple(const ff_record *record):
    return (
        record.partition,
        record.offset,
        record.timestamp_ms,
        optional_bytes(record.key, record.key_len),
        optional_bytes(record.headers, record.headers_len),
        optional_bytes(record.payload, record.payload_len),
    )


# The layout of batch.h for the headers that confluent-kafka gives.
cdef bytes flatten_headers(list headers):
    cdef list parts = []
    for name, value in headers:
        encoded = name.encode()
        if len(encoded) > 0xFFFF:
            raise ValueError("a header's name is longer than 65,535 bytes")
        parts.append(len(encoded).to_bytes(2, "little"))
        parts.append(encoded)
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            if isinstance(value, str):
                value = value.encode()
            parts.append(len(value).to_bytes(4, "little"))
            parts.append(value)
    return b"".join(parts)


# The memory of a buffer object, exported until `held` is dropped.
cdef const uint8_t *bytes_column(str name, object column, list held, Py_ssize_t *length) except? NULL:
    view = memoryview(column)
    if not view.c_contiguous:
        raise ValueError(f"{name} is not contiguous")
    held.append(view)
    length[0] = view.nbytes
    cdef const uint8_t *start = <const uint8_t *>PyMemoryView_GET_BUFFER(view).buf
    return NOTHING if start is NULL else start


cdef const int64_t *int64_column(
    str name, object column, Py_ssize_t count, list held, Py_ssize_t *found
) except? NULL:
    cdef Py_ssize_t length
    view = memoryview(column)
    # numpy says "l" or "q"; an Arrow buffer is plain bytes of the right length.
    if view.format not in ("l", "q", "b", "B", "c"):
        raise ValueError(f"{name} is not a column of int64")
    cdef const uint8_t *start = bytes_column(name, view, held, &length)
    if <size_t>start % sizeof(int64_t) != 0:
        raise ValueError(f"{name} is not aligned to 8 bytes")
    if length % sizeof(int64_t) != 0 or (count >= 0 and length != count * <Py_ssize_t>sizeof(int64_t)):
        raise ValueError(f"{name} has {length} bytes, expected {count if count >= 0 else 'a multiple of'} x 8")
    if found is not NULL:
        found[0] = length // <Py_ssize_t>sizeof(int64_t)
    return <const int64_t *>start


cdef int check_bounds(str name, const int64_t *bounds, Py_ssize_t count, Py_ssize_t limit) except -1:
    cdef Py_ssize_t index
    if bounds[0] < 0 or bounds[count] > limit:
        raise ValueError(f"{name} leave their {limit} bytes")
    for index in range(count):
        if bounds[index] > bounds[index + 1]:
            raise ValueError(f"{name}[{index + 1}] goes backwards")
    return 0
