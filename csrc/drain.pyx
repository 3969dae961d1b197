# The drain: takes messages out of librdkafka's queues by pointer.
cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, strlen
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

import weakref
from typing import NamedTuple

from batch cimport ff_record
from rdkafka cimport (
    FF_RD_KAFKA_CONSUMER,
    rd_kafka_headers_t,
    rd_kafka_message_t,
    rd_kafka_queue_t,
    rd_kafka_t,
)

# Most messages of one call into librdkafka: they are out of its queue then,
# and what does not fit the caller's limits waits here.
cdef size_t CHUNK = 1024
cdef int32_t MAX_PARTITIONS = 1 << 20

# How often the forwarding of a partition that has sent nothing yet is set again.
cdef int64_t RENEW_MS = 100

# What becomes of a partition's messages.
cdef enum:
    DETACHED = 0  # destroyed: they are not ours any more
    ATTACHED = 1
    PAUSED = 2  # kept for later; librdkafka will not send them again
    FATE = 3
    SILENT = 4  # a flag beside the fate: no message came since it was attached


class DrainError(NamedTuple):
    """An error that librdkafka reported in place of a message; see _wire.pyi."""

    topic: str
    partition: int
    offset: int
    code: int
    name: str
    reason: str


# A growing array of messages that are ours to destroy.
cdef struct Messages:
    rd_kafka_message_t **items
    size_t count
    size_t capacity


cdef int reserve(Messages *messages, size_t more) noexcept nogil:
    cdef size_t capacity = messages.capacity
    if messages.count + more <= capacity:
        return 0
    capacity = max(messages.count + more, 2 * capacity)
    items = <rd_kafka_message_t **>realloc(messages.items, capacity * sizeof(void *))
    if items is NULL:
        return -1
    messages.items = items
    messages.capacity = capacity
    return 0


cdef void destroy_all(Messages *messages) noexcept nogil:
    cdef size_t index
    for index in range(messages.count):
        rdk.message_destroy(messages.items[index])
    free(messages.items)
    messages.items = NULL
    messages.count = messages.capacity = 0


# no_gc_clear: the consumer must outlive the queue, in a cycle too.
@cython.no_gc_clear
@cython.final
cdef class Drain:
    """Messages of one topic from a Consumer's partitions; see _wire.pyi."""

    cdef object consumer
    cdef rd_kafka_t *handle
    cdef rd_kafka_queue_t *queue
    cdef Messages pending  # out of librdkafka, not yet handed over, in order
    cdef uint8_t *states  # by partition
    cdef int32_t partitions
    cdef int32_t silent  # how many carry that flag
    cdef int64_t renewed_ms
    cdef bytes topic_bytes
    cdef const char *topic_name  # the same, for where there is no GIL
    cdef size_t typical_size  # running mean of a message, in bytes
    cdef bint busy
    cdef object batches  # weak: those whose messages must die before the consumer
    cdef readonly str topic
    cdef readonly unsigned long long discarded
    cdef object __weakref__

    def __cinit__(self, consumer):
        from confluent_kafka.cimpl import Consumer

        self.handle = handle_of(consumer, Consumer)
        if rdk.type(self.handle) != FF_RD_KAFKA_CONSUMER:
            raise DrainUnavailable("the handle is no consumer's")
        self.consumer = consumer
        self.batches = weakref.WeakSet()
        self.typical_size = 512
        self.queue = rdk.queue_new(self.handle)
        if self.queue is NULL:
            raise MemoryError

    def __dealloc__(self):
        # Every batch holds a reference to its drain: none is alive here.
        self.close_queue()
        PyMem_Free(self.states)

    def attach(self, str topic not None, int32_t partition):
        self.check_open()
        if self.topic is not None and self.topic != topic:
            raise ValueError(f"this drain is for topic {self.topic}, records do not carry another's name")
        if not 0 <= partition < MAX_PARTITIONS:
            raise ValueError(f"there is no partition {partition}")
        self.grow(partition)
        self.topic = topic
        self.topic_bytes = topic.encode()
        self.topic_name = self.topic_bytes
        if self.forward(partition, self.queue) < 0:
            raise RuntimeError(f"librdkafka has no queue for {topic} [{partition}]")
        self.set_state(partition, ATTACHED | SILENT)

    def detach(self, str topic not None, int32_t partition):
        self.check_open()
        if self.state_of(topic, partition) == DETACHED:
            return
        self.discard(topic, partition)
        self.set_state(partition, DETACHED)
        self.forward(partition, NULL)

    def attached(self):
        return [partition for partition in range(self.partitions) if self.states[partition] & FATE]

    def pause(self, str topic not None, int32_t partition):
        self.check_open()
        if self.state_of(topic, partition) == ATTACHED:
            self.states[partition] ^= ATTACHED ^ PAUSED

    def resume(self, str topic not None, int32_t partition):
        self.check_open()
        if self.state_of(topic, partition) == PAUSED:
            self.states[partition] ^= ATTACHED ^ PAUSED

    def discard(self, str topic not None, int32_t partition):
        cdef size_t index, kept = 0
        self.check_open()
        if topic != self.topic:
            return
        for index in range(self.pending.count):
            message = self.pending.items[index]
            if message.partition == partition:
                rdk.message_destroy(message)
                self.discarded += 1
            else:
                self.pending.items[kept] = message
                kept += 1
        self.pending.count = kept

    def drain(self, Py_ssize_t max_messages, Py_ssize_t max_bytes, int timeout_ms):
        cdef Messages taken
        cdef int failed
        cdef list errors = []
        if max_messages < 1 or max_bytes < 1 or timeout_ms < 0:
            raise ValueError("max_messages and max_bytes are at least 1, timeout_ms at least 0")
        self.check_open()
        taken.items = NULL
        taken.count = taken.capacity = 0
        self.busy = True
        with nogil:
            failed = self.take(&taken, max_messages, max_bytes, timeout_ms)
        self.busy = False
        try:
            if failed:
                raise MemoryError
            split_errors(&taken, errors)
            batch = self.batch_of(&taken)
        except BaseException:
            destroy_all(&taken)
            raise
        return batch, errors

    def fatal_error(self):
        cdef char reason[512]
        self.check_open()
        cdef int code = rdk.fatal_error(self.handle, reason, sizeof(reason))
        if code == 0:
            return None
        return DrainError("", -1, -1, code, rdk.err2name(code).decode(), reason.decode(errors="replace"))

    def close(self):
        if self.queue is NULL:
            return
        self.check_open()
        for batch in list(self.batches):
            batch.release()
        for partition in self.attached():
            self.detach(self.topic, partition)
        self.close_queue()
        self.consumer = None

    @property
    def closed(self):
        return self.queue is NULL

    # ---- below: without Python, most of it without the GIL ----

    cdef int check_open(self) except -1:
        if self.queue is NULL:
            raise RuntimeError("the drain is closed")
        if self.busy:
            raise RuntimeError("the drain is at work in another thread")
        return 0

    cdef int state_of(self, str topic, int32_t partition) except -1:
        if topic != self.topic or not 0 <= partition < self.partitions:
            return DETACHED
        return self.states[partition] & FATE

    cdef void set_state(self, int32_t partition, uint8_t state) noexcept nogil:
        self.silent += (state & SILENT != 0) - (self.states[partition] & SILENT != 0)
        self.states[partition] = state

    cdef int grow(self, int32_t partition) except -1:
        cdef int32_t count = self.partitions
        if partition < count:
            return 0
        count = max(partition + 1, 2 * count, 64)
        states = <uint8_t *>PyMem_Calloc(count, 1)
        if states is NULL:
            raise MemoryError
        if self.partitions:
            memcpy(states, self.states, self.partitions)
        PyMem_Free(self.states)
        self.states = states
        self.partitions = count
        return 0

    # Before the partition is assigned, best: librdkafka keeps a forwarding of
    # the application's and never sets its own over it, so no message can slip
    # into the consumer's queue in between.
    cdef int forward(self, int32_t partition, rd_kafka_queue_t *target) noexcept nogil:
        cdef rd_kafka_queue_t *source = rdk.queue_get_partition(self.handle, self.topic_name, partition)
        if source is NULL:
            return -1
        rdk.queue_forward(source, target)
        rdk.queue_destroy(source)
        return 0

    # The end of a partition's last assignment takes its forwarding away, in
    # librdkafka's own thread and time (rd_kafka_toppar_fetch_stop), which may
    # be after the partition was attached anew; from then on its messages would
    # pile up where nobody reads. A message of the new assignment proves that
    # the old one is over. Until then the forwarding is set again and again,
    # which takes along what came meanwhile, in order.
    cdef void renew_forwards(self) noexcept nogil:
        cdef int32_t partition
        cdef int64_t now = monotonic_ms()
        if now - self.renewed_ms < RENEW_MS:
            return
        self.renewed_ms = now
        for partition in range(self.partitions):
            if self.states[partition] & SILENT:
                self.forward(partition, self.queue)

    cdef void close_queue(self) noexcept:
        destroy_all(&self.pending)
        if self.queue is not NULL:
            with nogil:
                rdk.queue_destroy(self.queue)
            self.queue = NULL

    # Moves messages to `taken` until a limit is met or nothing more is there.
    # Waits only for the first one: who has something to do should do it.
    cdef int take(
        self, Messages *taken, size_t max_messages, size_t max_bytes, int timeout_ms
    ) noexcept nogil:
        cdef size_t bytes_taken = 0, wanted, room
        cdef ssize_t got
        if self.take_pending(taken, max_messages, max_bytes, &bytes_taken) < 0:
            return -1
        while taken.count < max_messages and bytes_taken < max_bytes and not self.has_deliverable():
            room = (max_bytes - bytes_taken) // self.typical_size + 1
            wanted = 1 if taken.count == 0 and timeout_ms > 0 else min(CHUNK, min(room, max_messages - taken.count))
            if reserve(&self.pending, wanted) < 0:
                return -1
            got = self.fetch(wanted, 0 if taken.count else timeout_ms)
            if got <= 0:
                break
            timeout_ms = 0
            if self.take_pending(taken, max_messages, max_bytes, &bytes_taken) < 0:
                return -1
        return 0

    # Appends at most `wanted` messages to `pending`, which has room for them.
    cdef ssize_t fetch(self, size_t wanted, int64_t timeout_ms) noexcept nogil:
        cdef ssize_t got
        cdef int64_t deadline = monotonic_ms() + timeout_ms
        while True:
            if self.silent:
                self.renew_forwards()
                timeout_ms = min(RENEW_MS, max(0, deadline - monotonic_ms()))
            got = rdk.consume_batch_queue(
                self.queue, <int>timeout_ms, self.pending.items + self.pending.count, wanted
            )
            if got > 0:
                self.pending.count += got
            if got != 0 or not self.silent or monotonic_ms() >= deadline:
                return got

    cdef bint has_deliverable(self) noexcept nogil:
        cdef size_t index
        for index in range(self.pending.count):
            if self.fate(self.pending.items[index]) != PAUSED:
                return True
        return False

    cdef int fate(self, const rd_kafka_message_t *message) noexcept nogil:
        if message.err:
            return ATTACHED
        if not 0 <= message.partition < self.partitions:
            return DETACHED
        return self.states[message.partition] & FATE

    # In order; a message over the byte limit goes alone.
    cdef int take_pending(
        self, Messages *taken, size_t max_messages, size_t max_bytes, size_t *bytes_taken
    ) noexcept nogil:
        cdef size_t index = 0, kept = 0, size
        cdef int fate
        if reserve(taken, min(self.pending.count, max_messages)) < 0:
            return -1
        for index in range(self.pending.count):
            message = self.pending.items[index]
            fate = self.fate(message)
            if fate == DETACHED:
                rdk.message_destroy(message)
                self.discarded += 1
                continue
            size = message.len + message.key_len
            if fate == PAUSED or taken.count == max_messages or (
                taken.count and bytes_taken[0] + size > max_bytes
            ):
                # Later ones may be smaller, but order comes first: nothing passes.
                if fate != PAUSED:
                    max_messages = taken.count
                self.pending.items[kept] = message
                kept += 1
                continue
            if not message.err and self.states[message.partition] & SILENT:
                self.set_state(message.partition, ATTACHED)
            taken.items[taken.count] = message
            taken.count += 1
            bytes_taken[0] += size
            self.typical_size += (size >> 4) - (self.typical_size >> 4) + 1
        self.pending.count = kept
        return 0

    cdef Batch batch_of(self, Messages *taken):
        cdef Batch batch = new_batch(taken.count)
        if fill_records(batch, taken) < 0:
            raise MemoryError
        self.batches.add(batch)
        batch.owner = self
        batch.destroy_message = rdk.message_destroy
        batch.messages = taken.items  # from here on the batch destroys them
        batch.message_count = taken.count
        return batch


cdef int64_t monotonic_ms() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000 + now.tv_nsec // 1000000


# Errors are reported in order among the messages; here they leave them.
cdef int split_errors(Messages *taken, list errors) except -1:
    cdef size_t index, kept = 0
    for index in range(taken.count):
        if taken.items[index].err:
            errors.append(drain_error(taken.items[index]))
    if not errors:
        return 0
    for index in range(taken.count):
        if taken.items[index].err:
            rdk.message_destroy(taken.items[index])
        else:
            taken.items[kept] = taken.items[index]
            kept += 1
    taken.count = kept
    return 0


cdef object drain_error(const rd_kafka_message_t *message):
    cdef const char *topic = NULL
    if message.rkt is not NULL:
        topic = rdk.topic_name(message.rkt)
    cdef const char *reason = rdk.message_errstr(message)
    return DrainError(
        "" if topic is NULL else topic.decode(),
        message.partition,
        message.offset,
        message.err,
        rdk.err2name(message.err).decode(),
        "" if reason is NULL else reason.decode(errors="replace"),
    )


cdef int fill_records(Batch batch, Messages *taken) noexcept nogil:
    cdef size_t index, header_bytes = 0
    cdef int kind
    for index in range(taken.count):
        message = taken.items[index]
        record = &batch.records[index]
        record.partition = message.partition
        record.offset = message.offset
        record.timestamp_ms = rdk.message_timestamp(message, &kind)
        if kind == 0:
            record.timestamp_ms = -1  # not available
        record.payload = <const uint8_t *>message.payload
        record.payload_len = message.len
        record.key = <const uint8_t *>message.key
        record.key_len = message.key_len
        record.headers_len = flatten(message, NULL)
        header_bytes += record.headers_len
        batch.payload_bytes += message.len
    if header_bytes == 0:
        return 0
    batch.flat_headers = <uint8_t *>malloc(header_bytes)
    if batch.flat_headers is NULL:
        return -1
    header_bytes = 0
    for index in range(taken.count):
        record = &batch.records[index]
        if record.headers_len:
            record.headers = batch.flat_headers + header_bytes
            header_bytes += flatten(taken.items[index], batch.flat_headers + header_bytes)
    return 0


# Writes a message's headers as batch.h says, or only measures them (NULL).
# A header's name is at most 32,767 bytes on the wire, its value 2 GiB.
cdef size_t flatten(const rd_kafka_message_t *message, uint8_t *target) noexcept nogil:
    cdef rd_kafka_headers_t *headers = NULL
    cdef const char *name
    cdef const void *value
    cdef size_t index = 0, name_len, value_len, total = 0
    if rdk.message_headers(message, &headers) != 0 or headers is NULL:
        return 0
    while rdk.header_get_all(headers, index, &name, &value, &value_len) == 0:
        name_len = min(strlen(name), <size_t>0xFFFF)
        if value is NULL:
            value_len = 0
        if target is not NULL:
            little_endian(target + total, name_len, 2)
            memcpy(target + total + 2, name, name_len)
            little_endian(target + total + 2 + name_len, 0xFFFFFFFF if value is NULL else value_len, 4)
            if value is not NULL:
                memcpy(target + total + 6 + name_len, value, value_len)
        total += 6 + name_len + value_len
        index += 1
    return total


cdef inline void little_endian(uint8_t *target, size_t value, int width) noexcept nogil:
    cdef int index
    for index in range(width):
        target[index] = (value >> (8 * index)) & 0xFF
