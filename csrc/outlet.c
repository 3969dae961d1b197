#include "outlet.h"

#include <stdio.h>
#include <string.h>

/* FF_HEADER of batch.h -> librdkafka's list. NULL where it is malformed. */
static rd_kafka_headers_t *headers_of(const ff_rdkafka *rdk, const uint8_t *at, size_t left)
{
    rd_kafka_headers_t *headers = rdk->headers_new(4);
    while (left > 0) {
        uint16_t name_len;
        int32_t value_len;
        if (left < 2)
            goto malformed;
        memcpy(&name_len, at, 2); /* little-endian, as all machines that we run on */
        if (left - 2 < (size_t)name_len + 4)
            goto malformed;
        const char *name = (const char *)at + 2;
        memcpy(&value_len, at + 2 + name_len, 4);
        at += 6 + name_len;
        left -= 6 + (size_t)name_len;
        if (value_len < 0 || (size_t)value_len > left)
            goto malformed;
        if (rdk->header_add(headers, name, name_len, at, value_len) != 0)
            goto malformed;
        at += value_len;
        left -= (size_t)value_len;
    }
    return headers;
malformed:
    rdk->headers_destroy(headers);
    return NULL;
}

int32_t ff_producer_send(void *opaque, const ff_outgoing *record, uint64_t id)
{
    ff_producer *self = opaque;
    const ff_rdkafka *rdk = self->rdk;
    rd_kafka_headers_t *headers = NULL;
    if (record->headers_len > 0 && (headers = headers_of(rdk, record->headers, record->headers_len)) == NULL)
        return FF_RD_KAFKA_ERR_INVALID_ARG;
    int error = rdk->producev(
        self->handle,
        FF_RD_KAFKA_VTYPE_RKT, self->topic,
        FF_RD_KAFKA_VTYPE_MSGFLAGS, FF_RD_KAFKA_MSG_F_COPY,
        FF_RD_KAFKA_VTYPE_KEY, record->key, record->key_len,
        FF_RD_KAFKA_VTYPE_VALUE, record->payload, record->payload_len,
        FF_RD_KAFKA_VTYPE_OPAQUE, (void *)(uintptr_t)id,
        FF_RD_KAFKA_VTYPE_TIMESTAMP, record->timestamp_ms,
        FF_RD_KAFKA_VTYPE_HEADERS, headers,
        FF_RD_KAFKA_VTYPE_END);
    if (error != 0 && headers != NULL)
        rdk->headers_destroy(headers); /* ours again */
    return error;
}

static void note(ff_producer *self, int level, const char *facility, const char *text)
{
    pthread_mutex_lock(&self->lock);
    if (self->notes == FF_OUTLET_NOTES) {
        self->first = (self->first + 1) % FF_OUTLET_NOTES;
        self->notes--;
        self->lost++;
    }
    ff_note *slot = &self->ring[(self->first + self->notes++) % FF_OUTLET_NOTES];
    slot->level = level;
    snprintf(slot->text, sizeof(slot->text), "%s%s%s", facility, *facility ? ": " : "", text);
    pthread_mutex_unlock(&self->lock);
}

int ff_producer_note(ff_producer *self, ff_note *out)
{
    int found = 0;
    pthread_mutex_lock(&self->lock);
    if (self->notes > 0) {
        *out = self->ring[self->first];
        self->first = (self->first + 1) % FF_OUTLET_NOTES;
        self->notes--;
        found = 1;
    }
    pthread_mutex_unlock(&self->lock);
    return found;
}

static void hear(ff_producer *self, rd_kafka_event_t *event)
{
    const ff_rdkafka *rdk = self->rdk;
    int kind = rdk->event_type(event);
    if (kind == FF_RD_KAFKA_EVENT_LOG) {
        const char *facility = "", *text = "";
        int level = 6;
        rdk->event_log(event, &facility, &text, &level);
        note(self, level, facility, text);
    } else if (kind == FF_RD_KAFKA_EVENT_ERROR) {
        int error = rdk->event_error(event);
        if (error == FF_RD_KAFKA_ERR__ALL_BROKERS_DOWN)
            __atomic_store_n(&self->down, 1, __ATOMIC_RELAXED);
        if (rdk->event_error_is_fatal(event))
            __atomic_store_n(&self->fatal, error, __ATOMIC_RELAXED);
        note(self, 4, rdk->err2name(error), rdk->event_error_string(event));
    }
}

static int64_t append_time(const ff_producer *self, const rd_kafka_message_t *message)
{
    int kind = 0;
    int64_t timestamp = self->rdk->message_timestamp(message, &kind);
    return kind == FF_RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME && !self->embedded ? timestamp : -1;
}

size_t ff_producer_collect(void *opaque, int32_t timeout_ms, ff_fate *fates, size_t room)
{
    ff_producer *self = opaque;
    const ff_rdkafka *rdk = self->rdk;
    size_t count = 0;
    while (count < room) {
        if (self->event == NULL) {
            rd_kafka_event_t *event = rdk->queue_poll(self->queue, count > 0 ? 0 : timeout_ms);
            if (event == NULL)
                break;
            if (rdk->event_type(event) != FF_RD_KAFKA_EVENT_DR) {
                hear(self, event);
                rdk->event_destroy(event);
                timeout_ms = 0;
                continue;
            }
            self->event = event;
        }
        const rd_kafka_message_t *message = rdk->event_message_next(self->event);
        if (message == NULL) {
            rdk->event_destroy(self->event);
            self->event = NULL;
            continue;
        }
        /* Only what is said to be persisted is stored; librdkafka reports an
         * error for whatever may not be. */
        fates[count].id = (uint64_t)(uintptr_t)message->private_;
        fates[count].error = message->err;
        fates[count].partition = message->partition;
        fates[count].offset = message->offset;
        fates[count].append_ms = append_time(self, message);
        if (message->err == 0)
            __atomic_store_n(&self->down, 0, __ATOMIC_RELAXED);
        count++;
    }
    return count;
}
