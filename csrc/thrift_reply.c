/* Replies, read one token at a time from whatever has come. A length is held
 * against a bound before anything waits or grows for it, nesting against the
 * size of the stack, and every element of a list takes at least a byte: so no
 * reply costs more than its bytes do. Fields that are not known are passed over
 * within rows and cells; in the result itself they may be an exception of a
 * later gateway, so there they end the connection. */
#include "thrift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T_STOP = 0, T_BOOL = 2, T_BYTE = 3, T_DOUBLE = 4, T_I16 = 6, T_I32 = 8, T_I64 = 10 };
enum { T_STRING = 11, T_STRUCT = 12, T_MAP = 13, T_SET = 14, T_LIST = 15 };
enum { K_STRUCT, K_LIST, K_MAP };
enum { R_SKIP, R_RESULT, R_ROWS, R_ROW, R_COLUMNS, R_CELL, R_EXCEPTION, R_APPLICATION };

#define VERSION_MASK 0xffff0000u
#define VERSION_1 0x80010000u
#define M_REPLY 2u
#define M_EXCEPTION 3u
#define LIMIT_CELLS (256u << 20) /* bytes of one reply with cells */
#define LIMIT_OTHER (16u << 20)  /* an exception may name every row */

static const char *const NAMES[] = {"mutateRowsTs", "getRowsWithColumns", "checkAndPut"};

static uint32_t get_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static uint64_t get_u64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

void ff_cells_free(ff_cells *cells) {
    free(cells->indices);
    free(cells->timestamps);
    free(cells->ends);
    ff_bytes_free(&cells->values);
    memset(cells, 0, sizeof *cells);
}

static int cells_push(ff_cells *cells, size_t index, int64_t timestamp) {
    if (cells->count == cells->cap) {
        size_t cap = cells->cap ? cells->cap * 2 : 64;
        int32_t *indices = realloc(cells->indices, cap * sizeof *indices);
        if (indices != NULL)
            cells->indices = indices;
        int64_t *timestamps = realloc(cells->timestamps, cap * sizeof *timestamps);
        if (timestamps != NULL)
            cells->timestamps = timestamps;
        uint64_t *ends = realloc(cells->ends, cap * sizeof *ends);
        if (ends != NULL)
            cells->ends = ends;
        if (indices == NULL || timestamps == NULL || ends == NULL)
            return -1;
        cells->cap = cap;
    }
    cells->indices[cells->count] = (int32_t)index;
    cells->timestamps[cells->count] = timestamp;
    cells->ends[cells->count] = cells->values.len;
    cells->count++;
    return 0;
}

void ff_reply_begin(ff_reply *reply, ff_method method, const ff_call *call, int32_t sequence, ff_cells *cells) {
    memset(reply, 0, sizeof *reply);
    reply->method = method;
    reply->call = call;
    reply->sequence = sequence;
    reply->cells = cells;
    reply->limit = method == FF_GET ? LIMIT_CELLS : LIMIT_OTHER;
    reply->next = call->start;
}

static ff_outcome said(ff_reply *reply, ff_outcome outcome, const char *text) {
    snprintf(reply->text, sizeof reply->text, "%s", text);
    return outcome;
}

static ff_outcome garbled(ff_reply *reply) {
    return said(reply, FF_GARBLED, "the reply is no message of the protocol");
}

static ff_outcome unasked(ff_reply *reply) {
    return said(reply, FF_MISMATCH, "a row came back that was not asked for");
}

static ff_outcome not_empty(ff_reply *reply) {
    snprintf(reply->text, sizeof reply->text, "the reply to '%s' is not an empty result", NAMES[reply->method]);
    return FF_MISMATCH;
}

static ff_outcome halved(ff_reply *reply) {
    return said(reply, FF_MISMATCH, "a row came back without all of its parts, or with one of them twice");
}

/* --- the message's head ----------------------------------------------------- */

static ff_outcome head(ff_reply *reply, const uint8_t *p, size_t len, size_t *used) {
    const char *name = NAMES[reply->method];
    size_t expected = strlen(name);
    *used = 0;
    if (len < 8)
        return FF_FINE;
    uint32_t version = get_u32(p), length = get_u32(p + 4);
    if ((version & VERSION_MASK) != VERSION_1)
        return garbled(reply);
    if (length > 64) /* none of Hbase.thrift is as long */
        return said(reply, FF_MISMATCH, "the reply names no call of HBase");
    if (len < 12 + (size_t)length)
        return FF_FINE;
    uint32_t sequence = get_u32(p + 8 + length), kind = version & ~VERSION_MASK;
    int same = length == expected && memcmp(p + 8, name, expected) == 0;
    if (!same || sequence != (uint32_t)reply->sequence || (kind != M_REPLY && kind != M_EXCEPTION)) {
        char shown[65];
        for (uint32_t i = 0; i < length; i++)
            shown[i] = p[8 + i] >= 0x20 && p[8 + i] < 0x7f ? (char)p[8 + i] : '?';
        shown[length] = 0;
        snprintf(reply->text, sizeof reply->text, "message %u of type %u to '%s' came for call %u of '%s'", sequence,
                 kind, shown, (uint32_t)reply->sequence, name);
        return FF_MISMATCH;
    }
    reply->begun = 1;
    reply->exception = kind == M_EXCEPTION;
    reply->depth = 1;
    ff_frame *frame = &reply->stack[0];
    memset(frame, 0, sizeof *frame);
    frame->kind = K_STRUCT;
    frame->role = reply->exception ? R_APPLICATION : R_RESULT;
    if (reply->exception)
        reply->raised = FF_APPLICATION;
    *used = 12 + length;
    return FF_FINE;
}

/* --- what values mean -------------------------------------------------------- */

/* The smallest number of bytes that a value takes; 0: no such type. */
static size_t least(uint8_t type) {
    switch (type) {
    case T_BOOL:
    case T_BYTE:
    case T_STRUCT:
        return 1;
    case T_I16:
        return 2;
    case T_I32:
    case T_STRING:
        return 4;
    case T_DOUBLE:
    case T_I64:
        return 8;
    case T_SET:
    case T_LIST:
        return 5;
    case T_MAP:
        return 6;
    default:
        return 0;
    }
}

/* A field header was read. Fields that matter come once. */
static ff_outcome on_field(ff_reply *reply, ff_frame *frame) {
    static const uint8_t SUCCESS[] = {T_STOP, T_LIST, T_BOOL};
    int known = 0;
    switch (frame->role) {
    case R_RESULT:
        known = frame->field == 0 ? frame->value_type == SUCCESS[reply->method]
                                  : (frame->field == 1 || frame->field == 2) && frame->value_type == T_STRUCT;
        if (!known)
            return reply->method == FF_PUT
                       ? not_empty(reply)
                       : said(reply, FF_MISMATCH, "the reply has a result of another kind");
        if (frame->field == 0)
            reply->has_result = 1;
        else if (!reply->raised)
            reply->raised = frame->field == 1 ? FF_IO_ERROR : FF_ILLEGAL;
        break;
    case R_ROW:
        known = (frame->field == 1 && frame->value_type == T_STRING) || (frame->field == 2 && frame->value_type == T_MAP);
        break;
    case R_CELL:
        known = (frame->field == 1 && frame->value_type == T_STRING) || (frame->field == 2 && frame->value_type == T_I64);
        break;
    default:
        return FF_FINE;
    }
    if (!known)
        return FF_FINE;
    uint32_t bit = 1u << frame->field;
    if (frame->seen & bit)
        return halved(reply);
    frame->seen |= bit;
    return FF_FINE;
}

static ff_outcome on_string(ff_reply *reply, const ff_frame *frame, const uint8_t *data, size_t len) {
    const ff_source *source = reply->call->source;
    switch (frame->role) {
    case R_ROW:
        if (frame->field != 1)
            return FF_FINE;
        /* The gateway answers in the order of the question, without what is not there. */
        for (size_t i = reply->next; i < reply->call->stop; i++) {
            ff_slice row = ff_at(&source->rows, i);
            if (row.len == len && memcmp(row.data, data, len) == 0) {
                reply->index = i;
                reply->next = i + 1;
                reply->row_known = 1;
                return FF_FINE;
            }
        }
        return unasked(reply);
    case R_COLUMNS:
        if (frame->at_value)
            return FF_FINE;
        if (len != source->column.len || memcmp(source->column.data, data, len) != 0 || reply->cells_in_row)
            return unasked(reply);
        return FF_FINE;
    case R_CELL:
        if (frame->field != 1)
            return FF_FINE;
        if (ff_bytes_reserve(&reply->cells->values, len) != 0)
            return FF_NO_MEMORY;
        if (len)
            memcpy(reply->cells->values.data + reply->cells->values.len, data, len);
        reply->cells->values.len += len;
        return FF_FINE;
    case R_EXCEPTION:
    case R_APPLICATION:
        if (frame->field == 1) {
            size_t kept = len < FF_TEXT - 1 ? len : FF_TEXT - 1;
            memcpy(reply->text, data, kept);
            reply->text[kept] = 0;
        }
        return FF_FINE;
    default:
        return FF_FINE;
    }
}

static ff_outcome on_scalar(ff_reply *reply, const ff_frame *frame, uint8_t type, const uint8_t *p) {
    if (type == T_BOOL && *p > 1)
        return garbled(reply);
    if (frame->role == R_RESULT && frame->field == 0)
        reply->swapped = *p;
    else if (frame->role == R_CELL && frame->field == 2 && type == T_I64)
        reply->timestamp = (int64_t)get_u64(p);
    else if (frame->role == R_APPLICATION && frame->field == 2 && type == T_I32)
        reply->code = (int32_t)get_u32(p);
    return FF_FINE;
}

/* The role of a list, map or struct that is the value at hand of `frame`. */
static uint8_t role_of(const ff_frame *frame, uint8_t type) {
    switch (frame->role) {
    case R_RESULT:
        return frame->field == 0 ? R_ROWS : R_EXCEPTION;
    case R_ROWS:
        return R_ROW;
    case R_ROW:
        return frame->field == 2 && type == T_MAP ? R_COLUMNS : R_SKIP;
    case R_COLUMNS:
        return R_CELL;
    default:
        return R_SKIP;
    }
}

static void on_begin(ff_reply *reply, uint8_t role) {
    if (role == R_ROW) {
        reply->row_known = reply->cells_in_row = 0;
    } else if (role == R_CELL) {
        reply->cells_in_row = 1;
    }
}

static ff_outcome on_end(ff_reply *reply, const ff_frame *frame) {
    switch (frame->role) {
    case R_CELL:
        return (frame->seen & 6u) == 6u ? FF_FINE : halved(reply);
    case R_ROW:
        if (!reply->row_known || (frame->seen & 4u) == 0)
            return halved(reply);
        if (reply->cells_in_row && cells_push(reply->cells, reply->index, reply->timestamp) != 0)
            return FF_NO_MEMORY;
        return FF_FINE;
    default:
        return FF_FINE;
    }
}

/* --- tokens -------------------------------------------------------------------- */

static ff_outcome push(ff_reply *reply, ff_frame frame) {
    if (reply->depth == sizeof reply->stack / sizeof *reply->stack)
        return said(reply, FF_GARBLED, "the reply is nested too deeply");
    reply->stack[reply->depth++] = frame;
    on_begin(reply, frame.role);
    return FF_FINE;
}

static ff_outcome too_large(ff_reply *reply) {
    snprintf(reply->text, sizeof reply->text, "the reply is, or says that it is, larger than %u MiB",
             (unsigned)(reply->limit >> 20));
    return FF_TOO_LARGE;
}

/* The value at hand of the top frame. `*used` 0: more bytes are wanted. `left`: what the reply may still have. */
static ff_outcome value(ff_reply *reply, uint8_t type, const uint8_t *p, size_t len, uint64_t left, size_t *used) {
    ff_frame *frame = &reply->stack[reply->depth - 1], child;
    size_t need = least(type);
    uint32_t count;
    ff_outcome outcome = FF_FINE;
    *used = 0;
    if (need > left)
        return too_large(reply);
    if (type != T_STRUCT && len < need)
        return FF_FINE;
    memset(&child, 0, sizeof child);
    child.role = role_of(frame, type);
    switch (type) {
    case T_STRING:
        count = get_u32(p);
        if (count > INT32_MAX || count > left - 4)
            return too_large(reply);
        if (len - 4 < count)
            return FF_FINE;
        *used = 4 + (size_t)count;
        outcome = on_string(reply, frame, p + 4, count);
        break;
    case T_STRUCT:
        child.kind = K_STRUCT;
        break;
    case T_LIST:
    case T_SET:
        child.kind = K_LIST;
        child.value_type = p[0];
        child.left = count = get_u32(p + 1);
        *used = 5;
        if (count && least(p[0]) == 0)
            return garbled(reply);
        if (count > INT32_MAX || (uint64_t)count * least(p[0]) > left - 5)
            return too_large(reply);
        if (child.role == R_ROWS && count && p[0] != T_STRUCT)
            return garbled(reply);
        break;
    case T_MAP:
        child.kind = K_MAP;
        child.key_type = p[0];
        child.value_type = p[1];
        child.left = count = get_u32(p + 2);
        *used = 6;
        if (count && (least(p[0]) == 0 || least(p[1]) == 0))
            return garbled(reply);
        if (count > INT32_MAX || (uint64_t)count * (least(p[0]) + least(p[1])) > left - 6)
            return too_large(reply);
        if (child.role == R_COLUMNS && count && (p[0] != T_STRING || p[1] != T_STRUCT))
            return garbled(reply);
        break;
    default:
        *used = need;
        outcome = on_scalar(reply, frame, type, p);
    }
    if (outcome != FF_FINE)
        return outcome;
    /* The frame moves on now: it is not looked at before its child has ended. */
    if (frame->kind == K_STRUCT) {
        frame->pending = 0;
    } else if (frame->kind == K_LIST) {
        frame->left--;
    } else {
        frame->left -= frame->at_value;
        frame->at_value = !frame->at_value;
    }
    if (type == T_STRUCT || type == T_LIST || type == T_SET || type == T_MAP)
        return push(reply, child);
    return FF_FINE;
}

static ff_outcome pop(ff_reply *reply) {
    reply->depth--;
    return on_end(reply, &reply->stack[reply->depth]);
}

/* One token. `*used` may be 0 with `*moved` set: a struct begins, or a list ends, without a byte. */
static ff_outcome step(ff_reply *reply, const uint8_t *p, size_t len, uint64_t left, size_t *used, int *moved) {
    ff_frame *frame = &reply->stack[reply->depth - 1];
    size_t depth = reply->depth;
    ff_outcome outcome;
    *used = 0;
    *moved = 1;
    if (frame->kind == K_STRUCT) {
        if (frame->pending) {
            outcome = value(reply, frame->value_type, p, len, left, used);
            *moved = *used != 0 || reply->depth != depth;
            return outcome;
        }
        if (left == 0)
            return too_large(reply);
        if (len == 0) {
            *moved = 0;
            return FF_FINE;
        }
        if (p[0] == T_STOP) {
            *used = 1;
            return pop(reply);
        }
        if (len < 3) {
            *moved = 0;
            return FF_FINE;
        }
        if (left < 3)
            return too_large(reply);
        if (least(p[0]) == 0)
            return garbled(reply);
        frame->value_type = p[0];
        frame->field = (int16_t)(uint16_t)(p[1] << 8 | p[2]);
        frame->pending = 1;
        *used = 3;
        return on_field(reply, frame);
    }
    if (frame->left == 0)
        return pop(reply);
    uint8_t type = frame->kind == K_MAP && !frame->at_value ? frame->key_type : frame->value_type;
    outcome = value(reply, type, p, len, left, used);
    *moved = *used != 0 || reply->depth != depth;
    return outcome;
}

static ff_outcome end(ff_reply *reply) {
    if (reply->raised)
        return reply->raised;
    if (reply->method != FF_PUT && !reply->has_result) {
        snprintf(reply->text, sizeof reply->text, "the reply to '%s' has no result", NAMES[reply->method]);
        return FF_MISMATCH;
    }
    return FF_FINE;
}

ff_outcome ff_reply_feed(ff_reply *reply, const uint8_t *data, size_t len, size_t *used, int *done) {
    ff_outcome outcome = FF_FINE;
    size_t at = 0, took;
    int moved;
    *done = 0;
    if (!reply->begun) {
        outcome = head(reply, data, len, &took);
        at = took;
        reply->consumed = took;
    }
    while (outcome == FF_FINE && reply->begun) {
        outcome = step(reply, data + at, len - at, reply->limit - reply->consumed, &took, &moved);
        at += took;
        reply->consumed += took;
        if (outcome != FF_FINE || !moved)
            break;
        if (reply->depth == 0) {
            *done = 1;
            outcome = end(reply);
            break;
        }
    }
    *used = at;
    return outcome;
}
