/*
 * The batch: the one structure that crosses from the drain (C, Cython) to the
 * engine (Rust). rust/src/batch.rs mirrors it field for field; a change of
 * layout raises FF_BATCH_ABI, and both sides refuse the other's old one.
 */
#ifndef FF_BATCH_H
#define FF_BATCH_H

#include <stddef.h>
#include <stdint.h>

#define FF_BATCH_ABI 1u
#define FF_BATCH_CAPSULE "flurry_fast.batch.v1"

/* One Kafka record. The pointers live as long as the batch. A length is 0
 * wherever its pointer is NULL. */
typedef struct {
    const uint8_t *payload; /* NULL: a tombstone */
    size_t payload_len;
    const uint8_t *key; /* NULL: no key */
    size_t key_len;
    const uint8_t *headers; /* NULL: none. Flattened, see FF_HEADER below */
    size_t headers_len;
    int64_t offset;
    int64_t timestamp_ms; /* Kafka's; -1: not available */
    int32_t partition;
    int32_t reserved; /* 0 */
} ff_record;

/* FF_HEADER: headers follow one another without padding, little-endian:
 *   u16 name length, name, i32 value length (-1: null value), value. */

typedef struct {
    uint32_t abi; /* FF_BATCH_ABI */
    uint32_t reserved; /* 0 */
    size_t count;
    const ff_record *records; /* NULL where count is 0 */
} ff_batch;

_Static_assert(sizeof(void *) != 8 || sizeof(ff_record) == 72, "ff_record has a layout of its own in rust/src/batch.rs");

#endif
