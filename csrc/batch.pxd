# Declarations for csrc/batch.h, with their reasons there.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t


cdef extern from "batch.h" nogil:
    const uint32_t FF_BATCH_ABI
    const char *FF_BATCH_CAPSULE

    ctypedef struct ff_record:
        const uint8_t *payload
        size_t payload_len
        const uint8_t *key
        size_t key_len
        const uint8_t *headers
        size_t headers_len
        int64_t offset
        int64_t timestamp_ms
        int32_t partition
        int32_t reserved

    ctypedef struct ff_batch:
        uint32_t abi
        uint32_t reserved
        size_t count
        const ff_record *records
