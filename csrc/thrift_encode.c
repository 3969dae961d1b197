/* Calls, encoded as thriftpy2 and every other client of the binary protocol
 * encode them (strict: with a version). tests/wire/test_thrift_encode.py holds
 * each byte against thriftpy2's. */
#include "thrift.h"

#include <stdlib.h>
#include <string.h>

enum { STOP = 0, BOOL = 2, I64 = 10, STRING = 11, STRUCT = 12, MAP = 13, LIST = 15 };

#define VERSION_CALL 0x80010001u
#define LONGEST ((uint64_t)INT32_MAX) /* a length is an i32 */

int ff_bytes_reserve(ff_bytes *bytes, size_t more) {
    if (more <= bytes->cap - bytes->len)
        return 0;
    if (more > SIZE_MAX / 4 || bytes->len > SIZE_MAX / 4)
        return -1;
    size_t cap = bytes->cap ? bytes->cap : 256;
    while (cap < bytes->len + more)
        cap *= 2;
    uint8_t *data = realloc(bytes->data, cap);
    if (data == NULL)
        return -1;
    bytes->data = data;
    bytes->cap = cap;
    return 0;
}

void ff_bytes_free(ff_bytes *bytes) {
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

static inline int64_t offset_of(const ff_column *column, size_t index) {
    return column->wide ? ((const int64_t *)column->offsets)[index] : ((const int32_t *)column->offsets)[index];
}

int ff_column_fits(const ff_column *column, size_t size, size_t *shortest, size_t *longest) {
    *shortest = *longest = 0;
    if (column->count == 0)
        return 1;
    int64_t before = offset_of(column, 0);
    if (before < 0)
        return 0;
    size_t least = SIZE_MAX, most = 0;
    for (size_t i = 1; i <= column->count; i++) {
        int64_t at = offset_of(column, i);
        if (at < before)
            return 0;
        size_t length = (size_t)(at - before);
        least = length < least ? length : least;
        most = length > most ? length : most;
        before = at;
    }
    if ((uint64_t)before > size)
        return 0;
    *shortest = least;
    *longest = most;
    return 1;
}

size_t ff_cut(ff_method method, const ff_source *source, size_t start, size_t rows, size_t bytes) {
    size_t stop = start, size = 0;
    while (stop < source->rows.count && stop - start < rows) {
        size_t length = ff_at(&source->rows, stop).len;
        if (method == FF_PUT)
            length += ff_at(&source->values, stop).len;
        if (stop > start && (length > bytes || size > bytes - length))
            break;
        size += length;
        stop++;
    }
    return stop;
}

/* --- writing into memory that is large enough ------------------------------ */

static inline uint8_t *put_u8(uint8_t *p, uint8_t v) {
    *p = v;
    return p + 1;
}

static inline uint8_t *put_u32(uint8_t *p, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
    return p + 4;
}

static inline uint8_t *put_u64(uint8_t *p, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
    return p + 8;
}

static inline uint8_t *put_field(uint8_t *p, uint8_t type, uint16_t id) {
    p[0] = type;
    p[1] = (uint8_t)(id >> 8);
    p[2] = (uint8_t)id;
    return p + 3;
}

static inline uint8_t *put_slice(uint8_t *p, ff_slice s) {
    p = put_u32(p, (uint32_t)s.len);
    if (s.len)
        memcpy(p, s.data, s.len);
    return p + s.len;
}

static inline uint8_t *put_string_field(uint8_t *p, uint16_t id, ff_slice s) {
    return put_slice(put_field(p, STRING, id), s);
}

static uint8_t *put_head(uint8_t *p, const char *name, int32_t sequence) {
    p = put_u32(p, VERSION_CALL);
    p = put_slice(p, (ff_slice){(const uint8_t *)name, strlen(name)});
    return put_u32(p, (uint32_t)sequence);
}

/* An empty map<Text, Text>, and the end of the arguments. */
static uint8_t *put_no_attributes(uint8_t *p, uint16_t id) {
    p = put_field(p, MAP, id);
    p = put_u8(p, STRING);
    p = put_u8(p, STRING);
    p = put_u32(p, 0);
    return put_u8(p, STOP);
}

/* A Mutation: not a delete, in the write-ahead log. */
static inline uint8_t *put_mutation(uint8_t *p, ff_slice column, ff_slice value) {
    p = put_field(p, BOOL, 1);
    p = put_u8(p, 0);
    p = put_string_field(p, 2, column);
    p = put_string_field(p, 3, value);
    p = put_field(p, BOOL, 4);
    p = put_u8(p, 1);
    return put_u8(p, STOP);
}

#define HEAD_MAX (4 + 4 + 32 + 4)
#define ATTRIBUTES (3 + 6 + 1)
#define MUTATION (4 + 7 + 7 + 4 + 1)

static uint64_t column_bytes(const ff_column *column, const ff_call *call) {
    return (uint64_t)(offset_of(column, call->stop) - offset_of(column, call->start));
}

static uint8_t *encode_put(const ff_call *call, int32_t sequence, uint8_t *p) {
    const ff_source *source = call->source;
    p = put_head(p, "mutateRowsTs", sequence);
    p = put_string_field(p, 1, source->table);
    p = put_field(p, LIST, 2);
    p = put_u8(p, STRUCT);
    p = put_u32(p, (uint32_t)(call->stop - call->start));
    for (size_t i = call->start; i < call->stop; i++) {
        p = put_string_field(p, 1, ff_at(&source->rows, i));
        p = put_field(p, LIST, 2);
        p = put_u8(p, STRUCT);
        p = put_u32(p, 1);
        p = put_mutation(p, source->column, ff_at(&source->values, i));
        p = put_u8(p, STOP);
    }
    p = put_field(p, I64, 3);
    p = put_u64(p, (uint64_t)source->timestamp);
    return put_no_attributes(p, 4);
}

static uint8_t *encode_get(const ff_call *call, int32_t sequence, uint8_t *p) {
    const ff_source *source = call->source;
    p = put_head(p, "getRowsWithColumns", sequence);
    p = put_string_field(p, 1, source->table);
    p = put_field(p, LIST, 2);
    p = put_u8(p, STRING);
    p = put_u32(p, (uint32_t)(call->stop - call->start));
    for (size_t i = call->start; i < call->stop; i++)
        p = put_slice(p, ff_at(&source->rows, i));
    p = put_field(p, LIST, 3);
    p = put_u8(p, STRING);
    p = put_u32(p, 1);
    p = put_slice(p, source->column);
    return put_no_attributes(p, 4);
}

static uint8_t *encode_swap(const ff_call *call, int32_t sequence, uint8_t *p) {
    const ff_source *source = call->source;
    p = put_head(p, "checkAndPut", sequence);
    p = put_string_field(p, 1, source->table);
    p = put_string_field(p, 2, source->row);
    p = put_string_field(p, 3, source->column);
    if (source->expected.data != NULL)
        p = put_string_field(p, 5, source->expected);
    p = put_field(p, STRUCT, 6);
    p = put_mutation(p, source->column, source->value);
    return put_no_attributes(p, 7);
}

/* At least as many bytes as the message has; rows and columns counted exactly. */
static uint64_t size_of(ff_method method, const ff_call *call) {
    const ff_source *source = call->source;
    uint64_t rows = call->stop - call->start, size = HEAD_MAX + ATTRIBUTES + 7 + source->table.len;
    switch (method) {
    case FF_PUT:
        size += rows * (7 + 8 + MUTATION + source->column.len + 1) + 8 + 11;
        return size + column_bytes(&source->rows, call) + column_bytes(&source->values, call);
    case FF_GET:
        return size + rows * 4 + 8 + 8 + 4 + source->column.len + column_bytes(&source->rows, call);
    default:
        size += 7 + source->row.len + 2 * (7 + source->column.len) + 7 + source->expected.len;
        return size + 3 + MUTATION + source->value.len;
    }
}

int ff_encode(ff_method method, const ff_call *call, int32_t sequence, ff_bytes *out) {
    uint64_t size = size_of(method, call);
    if (size > LONGEST)
        return -2;
    if (ff_bytes_reserve(out, (size_t)size) != 0)
        return -1;
    uint8_t *start = out->data + out->len, *end;
    switch (method) {
    case FF_PUT:
        end = encode_put(call, sequence, start);
        break;
    case FF_GET:
        end = encode_get(call, sequence, start);
        break;
    default:
        end = encode_swap(call, sequence, start);
    }
    out->len += (size_t)(end - start);
    return 0;
}
